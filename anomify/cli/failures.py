"""Turn errors of files and databases into one sentence that says what to do."""

import errno
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from anomify.errors import Unavailable

if TYPE_CHECKING:
    # Only for annotations: the settings take long to import, and many commands do not read them.
    from anomify.config import Settings

HELP = "Run `anomify doctor` to find the cause."
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def failure_in_words(error: Exception) -> str | None:
    """Return a sentence about an error of a file or the database; None for any other error."""
    if isinstance(error, OSError):
        return _of_files(error)
    # Looked up by name, because many commands never import these libraries.
    for module, name in (("sqlalchemy.exc", "SQLAlchemyError"), ("sqlite3", "Error")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            cause = getattr(error, "orig", None) or error
            return f"The database cannot be used: {_first_line(cause)}. {HELP}"
    kind = getattr(sys.modules.get("alembic.util.exc"), "CommandError", None)
    if kind is not None and isinstance(error, kind):
        return f"The database cannot be migrated: {_first_line(error)}. {HELP}"
    return None


def use_data_dir(settings: "Settings") -> None:
    """Create the data directory if missing. Raises Unavailable if it cannot be written."""
    directory = settings.data_dir
    try:
        settings.make_data_dir()
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise Unavailable(_of_data_dir(directory, error)) from None
    for path in sorted(directory.glob("*.db")):
        try:
            path.open("r+b").close()
        except OSError as error:
            raise Unavailable(_of_data_dir(path, error)) from None


def _of_data_dir(path: Path, error: OSError) -> str:
    if error.errno in NO_ROOM:
        return f"The disk under {path} is full ({error.strerror}); free some space and try again."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return (
            f"{path} is, or is inside, a file where a directory is needed; choose another "
            "directory with --data."
        )
    return (
        f"{path} cannot be written ({error.strerror}); choose another directory with --data, or "
        "make it writable for this user."
    )


def _of_files(error: OSError) -> str | None:
    reason = error.strerror or str(error)
    path = error.filename
    if error.errno == errno.EPIPE:
        # The reader of the output has closed the pipe; the command line ends silently.
        return None
    if not isinstance(path, str | Path):
        return f"{reason}. {HELP}" if error.errno is not None else None
    if error.errno in NO_ROOM:
        return (
            f"The disk is full: {path} cannot be written ({reason}); free some space and try again."
        )
    if error.errno in NOT_WRITABLE:
        return f"{path} cannot be used ({reason}); make it accessible to this user."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return f"{path} is, or is inside, a file where a directory is needed."
    return f"{path}: {reason}."


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
