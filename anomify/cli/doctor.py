"""`anomify doctor`: checks the installation for problems and says how to solve them."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from anomify.cli.db import current_revision, head_revision
from anomify.cli.examine_network import examine_address, examine_egress, examine_letters
from anomify.cli.failures import failure_in_words
from anomify.cli.finding import Finding, first_line, read_if_there
from anomify.cli.listen_address import read_settings_beside_server
from anomify.cli.settings import data_option, json_option, print_json
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database
from anomify.errors import AnomifyError
from anomify.metric.failing import list_failing
from anomify.metric.open_store import open_point_database
from anomify.metric.state import unreadable_states
from anomify.org.heartbeat import HEARTBEAT_MISSING, learning_again_in_words
from anomify.org.queries import list_worker_heartbeats
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import PointLog

# What group and others may do with a file.
OTHERS = 0o077
FILES_LOOKED_AT_MAX = 10_000
FREE_BYTES_MIN = 1024**3
FREE_FRACTION_MIN = 0.05
CLOCK_SKEW_SECONDS_MAX = 2.0
MOST_SHOWN = 50
# No clock that is right shows a moment before this version was written.
WRITTEN_AT = datetime(2026, 11, 20, tzinfo=UTC)


@click.command()
@data_option
@json_option
def doctor(data_dir: Path | None, *, as_json: bool) -> None:
    """Check the installation for problems; the exit code is 1 if there are any."""
    settings = read_settings_beside_server(data_dir)
    findings = [_finding_of(examine, settings) for examine in EXAMINATIONS]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.is_well else 'BAD '} {finding.sentence}")
    if not all(finding.is_well for finding in findings):
        click.get_current_context().exit(1)


def examine_data_directory(settings: Settings) -> Finding:
    """Check that the data directory can be written."""
    name, directory = "data_directory", settings.data_dir
    existing = next(path for path in (directory, *directory.resolve().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Finding(name, is_well=True, sentence=f"{directory} can be written.")
    except OSError as error:
        return Finding(
            name,
            is_well=False,
            sentence=f"{directory} cannot be written ({error.strerror}); "
            "choose another directory with --data, or make it writable for this user.",
        )


def examine_permissions(settings: Settings) -> Finding:
    """Check that other users of this machine cannot read the data directory."""
    name, directory = "permissions", settings.data_dir
    if not directory.exists():
        return Finding(
            name, is_well=True, sentence=f"{directory} will be readable only by its owner."
        )
    if not directory.stat().st_mode & OTHERS:
        return Finding(name, is_well=True, sentence=f"{directory} is readable only by its owner.")
    entries = islice(directory.rglob("*"), FILES_LOOKED_AT_MAX)
    open_to_others = [path for path in entries if _is_open_to_others(path)]
    what = f"{directory} and {open_to_others[0].name} in it" if open_to_others else str(directory)
    more = f", among {len(open_to_others)} files," if len(open_to_others) > 1 else ""
    return Finding(
        name,
        is_well=False,
        sentence=f"Other users of this machine can read {what}{more} with the keys and data of "
        f"all orgs; run: chmod -R go= {shlex.quote(str(directory.resolve()))}",
    )


def examine_disk(settings: Settings) -> Finding:
    """Check the free space on the disk."""
    directory = settings.data_dir.resolve()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    free = f"{usage.free / 1024**3:,.1f} GiB of the disk under {settings.data_dir} are free"
    is_well = usage.free >= max(FREE_BYTES_MIN, FREE_FRACTION_MIN * usage.total)
    return Finding(
        "disk",
        is_well=is_well,
        sentence=f"{free}." if is_well else f"Only {free}; free some space.",
    )


def examine_database(settings: Settings) -> Finding:
    """Check that the database answers."""
    database = Database(settings.meta_url)
    shown = settings.shown()["database_url"] or settings.meta_url
    if database.is_sqlite and not (settings.data_dir / "meta.db").exists():
        return Finding(
            "database",
            is_well=True,
            sentence=f"There is no database in {settings.data_dir} yet; `anomify up` creates it.",
        )
    try:
        with database.unit_of_work(write=False) as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return Finding(
            "database", is_well=False, sentence=f"{shown} does not answer: {first_line(error)}"
        )
    finally:
        database.dispose()
    return Finding("database", is_well=True, sentence=f"{shown} answers.")


def examine_revision(settings: Settings) -> Finding:
    """Check that the database has the revision of this version."""
    name = "migrations"
    if settings.database_url is None and not (settings.data_dir / "meta.db").exists():
        return Finding(name, is_well=True, sentence="There is nothing to migrate yet.")
    try:
        current, head = current_revision(settings), head_revision()
    except SQLAlchemyError as error:
        return Finding(
            name, is_well=False, sentence=f"The revision cannot be read: {first_line(error)}"
        )
    if current != head:
        return Finding(
            name,
            is_well=False,
            sentence=f"The database is at revision {current or 'base'} and this version needs "
            f"{head}; run `anomify db upgrade`.",
        )
    return Finding(name, is_well=True, sentence=f"The database is at revision {current}.")


def examine_points(settings: Settings) -> Finding:
    """Check the checksums of all stored datapoints and states, and list damaged data."""
    name = "points"
    if settings.database_url is None and not (settings.data_dir / "log.db").exists():
        return Finding(name, is_well=True, sentence="No points are stored yet.")
    database = Database(settings.meta_url)
    opened = None
    problems: list[str] = []
    looked_at = 0
    try:
        opened = open_point_database(database, settings.data_dir)
        chunks = ChunkStore(opened)
        for count, problem in chunks.check():
            looked_at += count
            problems += [problem] if problem else []
        problems += [
            f"the entry {offset} of the log: {problem}"
            for offset, problem in PointLog(opened).check()
        ]
        problems += [
            f"damaged item {one.id}: {one.in_words()}" for one in chunks.damaged_items.list()
        ]
        with database.unit_of_work(write=False):
            problems += list(unreadable_states())
            problems += [
                f"metric {one.metric_id} failed {one.failures} times, last in {one.doing}: "
                f"{one.problem}"
                for one in list_failing()
                if one.isolated_at is not None
            ]
    except (AnomifyError, SQLAlchemyError) as error:
        return Finding(
            name, is_well=False, sentence=f"Datapoints cannot be read: {first_line(error)}"
        )
    finally:
        if opened is not None:
            opened.close()
        database.dispose()
    if not problems:
        return Finding(
            name, is_well=True, sentence=f"All {looked_at} chunks match their checksums."
        )
    shown = "\n     ".join(problems[:MOST_SHOWN])
    more = f"\n     and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
    return Finding(
        name,
        is_well=False,
        sentence=f"{len(problems)} problems in {looked_at} chunks; the data concerned is left out. "
        "Check the disk, and restore a backup if you need the data; "
        f"`anomify damaged` saves or deletes damaged items.\n     {shown}{more}",
    )


def examine_worker(settings: Settings) -> Finding:
    """Check when a worker last ran, and whether it still learns metrics again."""
    name = "worker"
    try:
        heartbeats = read_if_there(settings, list_worker_heartbeats)
    except SQLAlchemyError as error:
        return Finding(
            name,
            is_well=False,
            sentence=f"It cannot be read when a worker last ran: {first_line(error)}",
        )
    if not heartbeats:
        return Finding(name, is_well=True, sentence="No worker has run yet.")
    newest = heartbeats[0]
    learning = learning_again_in_words(newest)
    is_running = now() - newest.beaten_at < HEARTBEAT_MISSING
    if is_running and learning:
        sentence = (
            f"The worker is {learning}, because another version of the engine has stored their "
            "states; new points are judged after that."
        )
        return Finding(name, is_well=True, sentence=sentence)
    doing = "A worker runs" if is_running else "No worker runs now"
    return Finding(
        name,
        is_well=True,
        sentence=f"{doing}; the last heartbeat was at {newest.beaten_at:%Y-%m-%d %H:%M:%S} UTC.",
    )


def examine_engine(_settings: Settings) -> Finding:
    """Check that the engine is compiled, or that compiled code can be cached."""
    name = "engine"
    directory = Path(__file__).parents[1] / "detection" / "__pycache__"
    if any(directory.glob("*.nbi")):
        return Finding(name, is_well=True, sentence="The engine is compiled.")
    if os.access(directory if directory.exists() else directory.parent, os.W_OK):
        return Finding(
            name, is_well=True, sentence="The engine will be compiled when it is first used."
        )
    return Finding(
        name,
        is_well=False,
        sentence="The engine is not compiled and this user cannot write its cache, so every "
        "start takes longer; run `make install` as the user who installed the product.",
    )


def examine_clock(settings: Settings) -> Finding:
    """Check that this machine's clock is plausible and agrees with the database's."""
    name, moment = "clock", now()
    if moment < WRITTEN_AT:
        return Finding(
            name, is_well=False, sentence=f"The clock shows {moment}, which is wrong; set it."
        )
    if settings.database_url is None:
        return Finding(name, is_well=True, sentence=f"The clock shows {moment:%Y-%m-%d %H:%M} UTC.")
    database = Database(settings.meta_url)
    try:
        with database.unit_of_work(write=False) as session:
            theirs: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    except SQLAlchemyError as error:
        return Finding(
            name,
            is_well=False,
            sentence=f"The database's clock cannot be read: {first_line(error)}",
        )
    finally:
        database.dispose()
    skew = abs((now() - theirs).total_seconds())
    return Finding(
        name,
        is_well=skew <= CLOCK_SKEW_SECONDS_MAX,
        sentence=f"The database's clock differs from this machine's by {skew:.1f} s.",
    )


EXAMINATIONS: tuple[Callable[[Settings], Finding], ...] = (
    examine_data_directory,
    examine_permissions,
    examine_disk,
    examine_database,
    examine_revision,
    examine_points,
    examine_worker,
    examine_engine,
    examine_clock,
    examine_egress,
    examine_letters,
    examine_address,
)


def _finding_of(examine: Callable[[Settings], Finding], settings: Settings) -> Finding:
    """Run a check; return a finding about the error if the check fails."""
    try:
        return examine(settings)
    except Exception as error:
        sentence = error.message if isinstance(error, AnomifyError) else failure_in_words(error)
        if sentence is None:
            raise
        name = examine.__name__.removeprefix("examine_")
        return Finding(name, is_well=False, sentence=sentence)


def _is_open_to_others(path: Path) -> bool:
    try:
        return path.is_file() and bool(path.stat().st_mode & OTHERS)
    except OSError:
        return False
