"""`anomify backup`: writes a consistent copy of all data to one archive, also while running."""

import gzip
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from sqlalchemy import make_url

from anomify.cli.db import current_revision
from anomify.cli.settings import data_option, read_settings
from anomify.clock import now
from anomify.config import SECRET_KEY_FILE, Settings
from anomify.errors import Conflict, Unavailable

FORMAT = 1
MANIFEST = "manifest.json"
DUMP = "database.dump"
META, LOG = "meta.db", "log.db"
POINTS = "points-*.db"
# The file of the months that share one: every move of a month writes it.
SHARED = "points-old"
PIECE_BYTES = 1024 * 1024
# A partition is sealed every quarter of a minute, and the files are opened in much less.
MOST_TRIES = 100
RETRY_SECONDS = 0.3


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def backup(file: Path, data_dir: Path | None) -> None:
    """Write a backup of all data to FILE.

    The backup holds the state of one moment; Anomify may run meanwhile.
    """
    settings = read_settings(data_dir=data_dir)
    if file.exists():
        raise Conflict(f"{file} exists already; name a new file.")
    revision = current_revision(settings)
    if revision is None:
        raise Conflict(f"There is no database in {settings.data_dir} to back up.")
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(descriptor, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, filename="") as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
            tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder,
        ):
            write_archive(archive, settings, revision, Path(folder))
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
    click.echo(
        f"The backup is {file}. It contains secrets: store it where nobody else can read it."
    )
    if settings.secret_key and not (settings.data_dir / SECRET_KEY_FILE).exists():
        click.echo("The secret key is a setting and is not in the backup: store it as well.")


def write_archive(
    archive: tarfile.TarFile, settings: Settings, revision: str, folder: Path
) -> None:
    """Add every file to the archive, then a manifest with their checksums."""
    files = []
    key = settings.data_dir / SECRET_KEY_FILE
    copies = _copies(settings.data_dir, folder) if settings.database_url is None else None
    for path in copies or _dump(settings.database_url or "", folder):
        files.append(_add(archive, path))
        path.unlink()
    if key.exists():
        files.append(_add(archive, key))
    manifest = folder / MANIFEST
    manifest.write_text(
        json.dumps(
            {
                "format": FORMAT,
                "product": version("anomify"),
                "revision": revision,
                "made_at": now().isoformat(),
                "database": "sqlite" if settings.database_url is None else "postgresql",
                "files": files,
            },
            indent=1,
        )
    )
    _add(archive, manifest)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    about = archive.gettarinfo(path, arcname=path.name)
    about.mode, about.uid, about.gid, about.uname, about.gname = 0o600, 0, 0, "", ""
    with path.open("rb") as file:
        archive.addfile(about, file)
    return {"name": path.name, "bytes": about.size, "sha256": digest_of(path)}


# --- SQLite ---


def _copies(data_dir: Path, folder: Path) -> Iterator[Path]:
    """Yield a copy of every file, one at a time, all of the same moment."""
    with _moment(data_dir) as opened:
        (taken,) = (
            opened[META]
            .execute(
                "SELECT max(coalesce((SELECT max(through_offset) FROM judged_batches), 0),"
                " coalesce((SELECT max(log_offset) FROM checkpoints), 0))"
            )
            .fetchone()
        )
        for name, source in opened.items():
            path = folder / name
            target = sqlite3.connect(path, isolation_level=None)
            try:
                source.backup(target, pages=1024)
                if name == LOG:
                    _skip_offsets(target, taken)
            finally:
                target.close()
            yield path


def _skip_offsets(log: sqlite3.Connection, taken: int) -> None:
    """Make the copied log continue after every offset that the later copied metadata refers to."""
    changed = log.execute(
        "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'point_log'", (taken,)
    )
    if not changed.rowcount:
        log.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('point_log', ?)", (taken,))


@contextmanager
def _moment(data_dir: Path) -> Iterator[dict[str, sqlite3.Connection]]:
    """Yield a connection to every file by name, each in a snapshot, all of one moment."""
    for attempt in range(MOST_TRIES):
        if attempt:
            time.sleep(RETRY_SECONDS)
        with ExitStack() as stack:
            opened = _open_all(data_dir, stack)
            if opened is not None:
                yield opened
                return
    raise Unavailable(
        "The worker is writing too often to make a backup now; try again in a minute."
    )


def _open_all(data_dir: Path, stack: ExitStack) -> dict[str, sqlite3.Connection] | None:
    """Open a snapshot of every file, or return None if they are not of one moment.

    The log is opened first and the metadata last: points of the log are then in it or in the chunks
    that are opened after it, and the metadata has every metric of the points. If the worker sealed
    meanwhile, the metadata could be newer than the chunks. If a month moved between its own file
    and the shared one, its chunks could be in neither snapshot.
    """
    before = _sealed(stack.enter_context(_opened(data_dir / META)))
    months = _month_files(data_dir)
    shared = [
        stack.enter_context(_opened(data_dir / name)) for name in months if name.startswith(SHARED)
    ]
    versions = _versions(shared)
    has_log = (data_dir / LOG).exists()
    opened = {}
    for name in [*([LOG] if has_log else []), *months, META]:
        source = _open_snapshot(data_dir / name, stack)
        if source is None:
            return None
        opened[name] = source
    has_changed = (
        _sealed(opened[META]) != before
        or _month_files(data_dir) != months
        or _versions(shared) != versions
    )
    return None if has_changed else opened


def _open_snapshot(path: Path, stack: ExitStack) -> sqlite3.Connection | None:
    """Return a connection in a snapshot, or None while the file is removed or moved."""
    try:
        source = stack.enter_context(_opened(path))
        source.execute("BEGIN")
        # The snapshot is that of the first query, not of BEGIN.
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as problem:
        if path.exists() and problem.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return None
    return source


def _month_files(data_dir: Path) -> list[str]:
    return sorted(path.name for path in data_dir.glob(POINTS))


def _versions(connections: list[sqlite3.Connection]) -> list[int]:
    """Return a number for each connection that changes when another connection commits."""
    return [each.execute("PRAGMA data_version").fetchone()[0] for each in connections]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    source = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)
    try:
        source.execute("PRAGMA busy_timeout=5000")
        yield source
    finally:
        source.close()


def _sealed(meta: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return the offset through which each partition is sealed, and the deleted metrics."""
    sealed = meta.execute("SELECT partition, log_offset, saved_at FROM checkpoints ORDER BY 1")
    deleted = meta.execute("SELECT metric_id, points_gone_at FROM deleted_metrics ORDER BY 1")
    return sealed.fetchall() + deleted.fetchall()


# --- PostgreSQL ---


def run_postgres_tool(tool: str, url: str, *arguments: str) -> None:
    """Run pg_dump or pg_restore on a database. Raises Conflict if the tool is not installed."""
    parsed = make_url(url).set(drivername="postgresql")
    target = parsed.set(password=None).render_as_string()
    found = shutil.which(tool)
    if found is None:
        raise Conflict(
            f"A backup of PostgreSQL needs {tool}, which is not installed on this machine. Install"
            f" the PostgreSQL client, or run there: {tool} {' '.join(arguments)} --dbname={target}"
            f" ; and keep {SECRET_KEY_FILE} of the data directory beside it."
        )
    with tempfile.NamedTemporaryFile("w") as secret:
        if parsed.password:
            # On the command line everybody could read it; the file is for this user only.
            escaped = re.sub(r"([:\\])", r"\\\1", str(parsed.password))
            secret.write(f"*:*:*:*:{escaped}\n")
            secret.flush()
            known = parsed.set(password=None).update_query_dict({"passfile": secret.name})
            target = known.render_as_string()
        ended = subprocess.run(  # noqa: S603 -- a program that was found by its name, no shell
            [found, *arguments, f"--dbname={target}"],
            check=False,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    if ended.returncode:
        raise Unavailable(f"{tool} failed: {ended.stderr.strip()[:1000]}")


def _dump(url: str, folder: Path) -> Iterator[Path]:
    path = folder / DUMP
    run_postgres_tool("pg_dump", url, "--format=custom", "--no-owner", f"--file={path}")
    yield path
