"""`anomify restore`: puts a backup back, into an empty data directory or an empty database."""

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
    """Put the backup in FILE back, where nothing is yet; the product must not run."""
    settings = read_settings(data_dir=data_dir)
    _refuse_what_is_there(settings)
    parent = settings.data_dir.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".restore-") as name:
        folder = Path(name)
        manifest = _unpacked(file, folder)
        _check(manifest, folder, settings)
        # Until here nothing but our own temporary directory has been touched.
        if manifest["database"] == "postgresql":
            assert settings.database_url is not None  # noqa: S101 -- checked above
            run_postgres_tool(
                "pg_restore",
                settings.database_url,
                *("--no-owner", "--exit-on-error", "--single-transaction"),
                *(f"{folder / DUMP}",),
            )
        settings.make_data_dir()
        # The metadata comes last: without it nothing starts from half a restore.
        names = sorted((each["name"] for each in manifest["files"]), key=lambda each: each == META)
        for each in names:
            if each != DUMP:
                (folder / each).rename(settings.data_dir / each)
    click.echo(
        f"The backup of {manifest['made_at'][:19]} is restored in {settings.data_dir}. "
        "Start the product with `anomify up`."
    )


def _refuse_what_is_there(settings: Settings) -> None:
    if settings.data_dir.exists() and any(settings.data_dir.iterdir()):
        raise Conflict(
            f"{settings.data_dir} is not empty. A backup is restored into an empty directory only:"
            " name another one with --data, or move this one away."
        )
    if settings.database_url is not None:
        database = Database(settings.meta_url)
        try:
            if inspect(database.engine).get_table_names():
                raise Conflict("The database is not empty; make an empty one and set database_url.")
        finally:
            database.dispose()


def _unpacked(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack the archive into our folder. Raises Invalid for one that is none, or not whole."""
    try:
        with gzip.open(file) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                found = archive.extractfile(member) if member.isfile() else None
                if found is None or not _NAMES.fullmatch(member.name):
                    raise Invalid(f"{file} is no backup of this product: it holds {member.name}.")
                with _private(folder / member.name) as target:
                    while piece := found.read(PIECE_BYTES):
                        target.write(piece)
            while packed.read(PIECE_BYTES):
                # To the end, where the compression has its own checksum.
                pass
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, EOFError, tarfile.TarError, ValueError) as problem:
        raise Invalid(f"{file} is no whole backup: {problem}. Nothing was restored.") from problem
    return manifest


def _check(manifest: dict[str, Any], folder: Path, settings: Settings) -> None:
    if manifest.get("format") != FORMAT:
        raise Invalid("This backup was made by another version of the product; use that one.")
    listed = {each["name"]: each["sha256"] for each in manifest["files"]}
    for name, digest in listed.items():
        path = folder / name
        if not path.exists() or digest_of(path) != digest:
            raise Invalid(f"{name} in the backup is damaged. Nothing was restored.")
    unlisted = {path.name for path in folder.iterdir()} - set(listed) - {MANIFEST}
    if unlisted:
        raise Invalid(f"The backup holds what its manifest does not: {min(unlisted)}.")
    kind = "sqlite" if settings.database_url is None else "postgresql"
    if manifest["database"] != kind:
        raise Conflict(
            f"The backup is of {manifest['database']} and database_url means {kind};"
            " set database_url as it was when the backup was made."
        )
    try:
        ScriptDirectory.from_config(alembic_config(settings)).get_revision(manifest["revision"])
    except CommandError as problem:
        raise Conflict(
            f"The backup was made by version {manifest['product']}, which is newer than this one;"
            " restore it with that version."
        ) from problem


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
