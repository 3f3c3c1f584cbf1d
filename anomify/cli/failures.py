"""What went wrong outside of us, in one sentence that says what to do."""

import errno
import sys
import tempfile
from pathlib import Path

from anomify.config import Settings
from anomify.errors import Unavailable

HELP = "`anomify doctor` looks for the cause."
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


def failure_in_words(error: Exception) -> str | None:
    """Return a sentence about a failure of files or of the database; None for any other."""
    if isinstance(error, OSError):
        return _of_files(error)
    # Asked for by name: many commands never load these libraries.
    for module, name in (("sqlalchemy.exc", "SQLAlchemyError"), ("sqlite3", "Error")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            cause = getattr(error, "orig", None) or error
            return f"The database cannot be used: {_first_line(cause)}. {HELP}"
    kind = getattr(sys.modules.get("alembic.util.exc"), "CommandError", None)
    if kind is not None and isinstance(error, kind):
        return f"The database cannot be moved between versions: {_first_line(error)}. {HELP}"
    return None


def use_data_dir(settings: Settings) -> None:
    """Make the data directory if it is missing. Raises Unavailable where it cannot be written."""
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
        return f"The disk under {path} is full ({error.strerror}); make room and try again."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return (
            f"{path} is, or lies under, a file where a directory is needed; choose another "
            "directory with --data."
        )
    return (
        f"{path} cannot be written ({error.strerror}); choose another directory with --data, or "
        "give it to the user who runs this."
    )


def _of_files(error: OSError) -> str | None:
    reason = error.strerror or str(error)
    path = error.filename
    if error.errno == errno.EPIPE:
        # Whoever read what we print has gone; that is for the command line to end quietly.
        return None
    if not isinstance(path, str | Path):
        return f"{reason}. {HELP}" if error.errno is not None else None
    if error.errno in NO_ROOM:
        return f"The disk is full: {path} cannot be written ({reason}); make room and try again."
    if error.errno in NOT_WRITABLE:
        return f"{path} cannot be used ({reason}); give it to the user who runs this."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return f"{path} is, or lies under, a file where a directory is needed."
    return f"{path}: {reason}."


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
