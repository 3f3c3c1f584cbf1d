"""`anomify doctor`: looks for what could keep the product from working, and says what to do."""

import os
import shlex
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from anomify.cli.db import current_revision, head_revision
from anomify.cli.failures import failure_in_words
from anomify.cli.settings import data_option, json_option, print_json, read_settings
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database
from anomify.errors import AnomifyError
from anomify.metric.failing import list_failing
from anomify.metric.open_store import open_point_database
from anomify.metric.state import unreadable_states
from anomify.org.letter import count_waiting_letters, latest_letter_problem
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import PointLog

# What group and others may do with a file.
OTHERS = 0o077
FILES_LOOKED_AT_MAX = 10_000
FREE_BYTES_MIN = 1024**3
FREE_FRACTION_MIN = 0.05
CLOCK_SKEW_SECONDS_MAX = 2.0
CONNECT_SECONDS = 3.0
MOST_SHOWN = 50
# No clock that is right shows a moment before this version was written.
WRITTEN_AT = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well, and a sentence about it."""

    name: str
    is_well: bool
    sentence: str


@click.command()
@data_option
@json_option
def doctor(data_dir: Path | None, *, as_json: bool) -> None:
    """Look for what could keep the product from working; the exit code is 1 when something does."""
    settings = read_settings(data_dir=data_dir)
    findings = [_finding_of(examine, settings) for examine in EXAMINATIONS]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.is_well else 'BAD '} {finding.sentence}")
    if not all(finding.is_well for finding in findings):
        click.get_current_context().exit(1)


def examine_data_directory(settings: Settings) -> Finding:
    """See whether we may write where the embedded databases and the keys lie."""
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
            "choose another directory with --data, or give it to this user.",
        )


def examine_permissions(settings: Settings) -> Finding:
    """See whether other users of this machine can read what lies in the data directory."""
    name, directory = "permissions", settings.data_dir
    if not directory.exists():
        return Finding(name, is_well=True, sentence=f"{directory} will be for its owner alone.")
    if not directory.stat().st_mode & OTHERS:
        return Finding(name, is_well=True, sentence=f"Only its owner can look into {directory}.")
    entries = islice(directory.rglob("*"), FILES_LOOKED_AT_MAX)
    open_to_others = [path for path in entries if _is_open_to_others(path)]
    what = f"{directory} and {open_to_others[0].name} in it" if open_to_others else str(directory)
    more = f", among {len(open_to_others)} files," if len(open_to_others) > 1 else ""
    return Finding(
        name,
        is_well=False,
        sentence=f"Other users of this machine can read {what}{more} where keys and the data of "
        f"all orgs lie; run: chmod -R go= {shlex.quote(str(directory.resolve()))}",
    )


def examine_disk(settings: Settings) -> Finding:
    """See whether there is room for more points."""
    directory = settings.data_dir.resolve()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    usage = shutil.disk_usage(existing)
    free = f"{usage.free / 1024**3:,.1f} GiB of the disk under {settings.data_dir} are free"
    is_well = usage.free >= max(FREE_BYTES_MIN, FREE_FRACTION_MIN * usage.total)
    return Finding(
        "disk", is_well=is_well, sentence=f"{free}." if is_well else f"Only {free}; make room."
    )


def examine_database(settings: Settings) -> Finding:
    """See whether the database answers."""
    database = Database(settings.meta_url)
    shown = settings.shown()["database_url"] or settings.meta_url
    if database.is_sqlite and not (settings.data_dir / "meta.db").exists():
        return Finding(
            "database",
            is_well=True,
            sentence=f"There is no database in {settings.data_dir} yet; `anomify up` makes it.",
        )
    try:
        with database.unit_of_work(write=False) as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return Finding(
            "database", is_well=False, sentence=f"{shown} does not answer: {_first_line(error)}"
        )
    finally:
        database.dispose()
    return Finding("database", is_well=True, sentence=f"{shown} answers.")


def examine_revision(settings: Settings) -> Finding:
    """See whether the database is what this version needs."""
    name = "migrations"
    if settings.database_url is None and not (settings.data_dir / "meta.db").exists():
        return Finding(name, is_well=True, sentence="There is nothing to migrate yet.")
    try:
        current, head = current_revision(settings), head_revision()
    except SQLAlchemyError as error:
        return Finding(name, is_well=False, sentence=f"No revision is known: {_first_line(error)}")
    if current != head:
        return Finding(
            name,
            is_well=False,
            sentence=f"The database is at revision {current or 'base'} and this version needs "
            f"{head}; run `anomify db upgrade`.",
        )
    return Finding(name, is_well=True, sentence=f"The database is at revision {current}.")


def examine_points(settings: Settings) -> Finding:
    """Read every stored point and state, compare the checksums, and list what was set aside."""
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
            f"the entry {offset} of the log: {said}" for offset, said in PointLog(opened).check()
        ]
        problems += [f"set aside, number {one.id}: {one.in_words()}" for one in chunks.shelf.list()]
        with database.unit_of_work(write=False):
            problems += list(unreadable_states())
            problems += [
                f"metric {one.metric_id} failed {one.failures} times, last in {one.doing}: "
                f"{one.problem}"
                for one in list_failing()
                if one.isolated_at is not None
            ]
    except (AnomifyError, SQLAlchemyError) as error:
        return Finding(name, is_well=False, sentence=f"Points cannot be read: {_first_line(error)}")
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
        sentence=f"{len(problems)} things of {looked_at} chunks cannot be used; everything else "
        "goes on without them. Check the disk and restore a backup if they matter; "
        f"`anomify damaged` saves or forgets what was set aside.\n     {shown}{more}",
    )


def examine_engine(_settings: Settings) -> Finding:
    """See whether the engine's machine code lies ready, or can be kept once it is made."""
    name = "engine"
    directory = Path(__file__).parents[1] / "detection" / "__pycache__"
    if any(directory.glob("*.nbi")):
        return Finding(name, is_well=True, sentence="The engine is compiled.")
    if os.access(directory if directory.exists() else directory.parent, os.W_OK):
        return Finding(
            name, is_well=True, sentence="The engine will be compiled when it is needed first."
        )
    return Finding(
        name,
        is_well=False,
        sentence="The engine is not compiled and this user may not keep the result, so every "
        "start takes longer; run `make install` as the user who installed the product.",
    )


def examine_clock(settings: Settings) -> Finding:
    """See whether this machine's clock can be right, and agrees with the database's."""
    name, moment = "clock", now()
    if moment < WRITTEN_AT:
        return Finding(name, is_well=False, sentence=f"The clock says {moment}; set it.")
    if settings.database_url is None:
        return Finding(name, is_well=True, sentence=f"The clock says {moment:%Y-%m-%d %H:%M} UTC.")
    database = Database(settings.meta_url)
    try:
        with database.unit_of_work(write=False) as session:
            theirs: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    except SQLAlchemyError as error:
        return Finding(name, is_well=False, sentence=f"No clock to compare: {_first_line(error)}")
    finally:
        database.dispose()
    skew = abs((now() - theirs).total_seconds())
    return Finding(
        name,
        is_well=skew <= CLOCK_SKEW_SECONDS_MAX,
        sentence=f"The database's clock differs from ours by {skew:.1f} s.",
    )


def examine_egress(settings: Settings) -> Finding:
    """See whether mails can leave, and say which private networks webhooks may reach."""
    name = "egress"
    allowed = ", ".join(settings.egress_allow) or "no private network"
    webhooks = f"Webhooks may reach {allowed}"
    if settings.smtp_host is None:
        return Finding(
            name,
            is_well=True,
            sentence=f"{webhooks}; no mail is sent, because smtp_host is not set.",
        )
    server = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        socket.create_connection(
            (settings.smtp_host, settings.smtp_port), timeout=CONNECT_SECONDS
        ).close()
    except OSError as error:
        return Finding(
            name, is_well=False, sentence=f"The mail server {server} does not answer: {error}."
        )
    return Finding(name, is_well=True, sentence=f"{webhooks}; the mail server {server} answers.")


def examine_letters(settings: Settings) -> Finding:
    """See whether letters with links and codes wait, and say what people do without them."""
    name = "letters"
    if settings.database_url is None and not (settings.data_dir / "meta.db").exists():
        return Finding(name, is_well=True, sentence="No letter was written yet.")
    database = Database(settings.meta_url)
    try:
        with database.unit_of_work(write=False):
            waiting, problem = count_waiting_letters(), latest_letter_problem()
    except SQLAlchemyError as error:
        return Finding(name, is_well=False, sentence=f"No letters known: {_first_line(error)}")
    finally:
        database.dispose()
    if settings.smtp_host is None:
        return Finding(
            name,
            is_well=not waiting,
            sentence=f"{waiting} letters wait, because smtp_host is not set: nobody is mailed a "
            "link or a code; `anomify user reset-link` prints a link for a new password.",
        )
    if problem is not None:
        return Finding(
            name,
            is_well=False,
            sentence=f"{waiting} letters wait, and so do people who need a code to sign in: "
            f"{problem} Until that is mended, login_codes=false lets them in without.",
        )
    return Finding(name, is_well=True, sentence=f"{waiting} letters wait to be sent.")


def examine_address(settings: Settings) -> Finding:
    """See whether people who come from elsewhere can sign in, and whether our links reach us."""
    name, url = "address", settings.base_url
    if settings.public_url is None and settings.has_secure_cookies:
        return Finding(
            name,
            is_well=False,
            sentence=f"Others can reach {settings.host}, but links would point to {url} and "
            "browsers would not stay signed in there: set public_url to the address people use, "
            "with https, or set insecure_http=true where plain http is meant.",
        )
    if url.startswith("https://") and not settings.trusted_proxies:
        return Finding(
            name,
            is_well=True,
            sentence=f"Links point to {url}. The proxy that encrypts looks like the only caller "
            "until trusted_proxies names it: limits and the audit trail go by its address.",
        )
    return Finding(name, is_well=True, sentence=f"Links point to {url}.")


EXAMINATIONS: tuple[Callable[[Settings], Finding], ...] = (
    examine_data_directory,
    examine_permissions,
    examine_disk,
    examine_database,
    examine_revision,
    examine_points,
    examine_engine,
    examine_clock,
    examine_egress,
    examine_letters,
    examine_address,
)


def _finding_of(examine: Callable[[Settings], Finding], settings: Settings) -> Finding:
    """Examine, and make a finding of what cannot be examined."""
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
