"""`anomify restore`: restores a backup into an empty data directory or an empty database."""

import gzip
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import inspect

from anomify.cli.backup import DUMP, FORMAT, LOG, MANIFEST, META, digest_of, run_postgres_tool
from anomify.cli.db import alembic_config
from anomify.cli.settings import data_option, read_settings
from anomify.config import SECRET_KEY_FILE, Settings
from anomify.db import Database
from anomify.errors import Conflict, Invalid

_NAMES = re.compile(
    rf"{META}|{LOG}|points-[-.0-9a-z]+\.db|{re.escape(SECRET_KEY_FILE)}|{DUMP}|{MANIFEST}"
)
PIECE_BYTES = 1024 * 1024


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_option
def restore(file: Path, data_dir: Path | None) -> None:
    """Restore a backup from FILE.

    The data directory or database must be empty, and Anomify must not be running.
    """
    settings = read_settings(data_dir=data_dir)
    _refuse_what_is_there(settings)
    # On the disk of the data directory, which may be a mount point.
    data_dir = settings.data_dir.resolve()
    disk = data_dir if data_dir.exists() else data_dir.parent
    disk.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk, prefix=".restore-") as name:
        folder = Path(name)
        manifest = _unpacked(file, folder)
        _check(manifest, folder, settings)
        # Up to here only the temporary directory has been written to.
        if manifest["database"] == "postgresql":
            assert settings.database_url is not None  # noqa: S101 -- checked above
            run_postgres_tool(
                "pg_restore",
                settings.database_url,
                *("--no-owner", "--exit-on-error", "--single-transaction"),
                *(f"{folder / DUMP}",),
            )
        settings.make_data_dir()
        # The metadata is moved last: without it, an incomplete restore cannot be started.
        names = sorted((each["name"] for each in manifest["files"]), key=lambda each: each == META)
        for each in names:
            if each != DUMP:
                (folder / each).rename(settings.data_dir / each)
    click.echo(
        f"The backup of {manifest['made_at'][:19]} is restored in {settings.data_dir}. "
        "Start Anomify with `anomify up`."
    )


def _refuse_what_is_there(settings: Settings) -> None:
    there = settings.data_dir.iterdir() if settings.data_dir.exists() else ()
    # A mounted ext4 file system always contains this directory.
    if any(path.name != "lost+found" for path in there):
        raise Conflict(
            f"{settings.data_dir} is not empty. A backup can only be restored into an empty"
            " directory: choose another one with --data, or move this one away."
        )
    if settings.database_url is not None:
        database = Database(settings.meta_url)
        try:
            if inspect(database.engine).get_table_names():
                raise Conflict(
                    "The database is not empty; create an empty one and set database_url to it."
                )
        finally:
            database.dispose()


def _unpacked(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack the archive and return its manifest. Raises Invalid if it is damaged or no backup."""
    try:
        with gzip.open(file) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                found = archive.extractfile(member) if member.isfile() else None
                if found is None or not _NAMES.fullmatch(member.name):
                    raise Invalid(
                        f"{file} is not a backup made by Anomify: it contains {member.name}."
                    )
                with _private(folder / member.name) as target:
                    while piece := found.read(PIECE_BYTES):
                        target.write(piece)
            while packed.read(PIECE_BYTES):
                # Read to the end, where gzip checks its checksum.
                pass
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, EOFError, tarfile.TarError, ValueError) as problem:
        raise Invalid(
            f"{file} is not a complete backup: {problem}. Nothing was restored."
        ) from problem
    return manifest if isinstance(manifest, dict) else {}


def _check(manifest: dict[str, Any], folder: Path, settings: Settings) -> None:
    if manifest.get("format") != FORMAT:
        raise Invalid(
            "This backup has the format of another version; restore it with that version."
        )
    unpacked = {path.name for path in folder.iterdir()} - {MANIFEST}
    try:
        listed = {str(each["name"]): str(each["sha256"]) for each in manifest["files"]}
        origin = {key: str(manifest[key]) for key in ("database", "revision", "product", "made_at")}
    except (KeyError, TypeError) as problem:
        raise Invalid(
            "The manifest of the backup is not complete. Nothing was restored."
        ) from problem
    for name, digest in listed.items():
        # Only unpacked files: a name with a path in it would move another file of this machine.
        if name not in unpacked or digest_of(folder / name) != digest:
            raise Invalid(f"{name} in the backup is damaged. Nothing was restored.")
    unlisted = unpacked - set(listed)
    if len(listed) != len(manifest["files"]):
        raise Invalid("The manifest of the backup names a file twice. Nothing was restored.")
    if unlisted:
        raise Invalid(
            f"The backup contains a file that its manifest does not list: {min(unlisted)}."
        )
    kind = "sqlite" if settings.database_url is None else "postgresql"
    if origin["database"] != kind:
        raise Conflict(
            f"The backup is of {origin['database']}, but database_url selects {kind};"
            " set database_url as it was when the backup was made."
        )
    try:
        ScriptDirectory.from_config(alembic_config(settings)).get_revision(origin["revision"])
    except CommandError as problem:
        raise Conflict(
            f"The backup was made by version {origin['product']}, which is newer than this one;"
            " restore it with that version."
        ) from problem


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
