"""`anomify push`: sends a file of points to a server, and picks up where it left off."""

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import urllib3

from anomify.cli.reading_options import choices_of, reading_options
from anomify.cli.settings import json_option, print_json
from anomify.errors import AnomifyError, Invalid, Unavailable
from anomify.outbound import operator_pool

if TYPE_CHECKING:
    from anomify.cli.points_file import FilePoints

DOOR = "/flux/metric_data_post"
# Large enough that few requests are needed, and small enough for a body of half a mebibyte.
BATCH_POINTS = 5_000
BATCH_BYTES = 512 * 1024
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A server that asks for more patience than this is not waited for.
RETRY_AFTER_MAX_SECONDS = 300.0
PATIENCE_SECONDS = 600.0
# Where nothing has answered yet, the address is wrong rather than the server away for a moment;
# one that is being started needs no longer.
FIRST_PATIENCE_SECONDS = 10.0
SHOWN_REFUSALS = 20
AGAIN = frozenset({429, 500, 502, 503, 504})
STORED = 204
REPORT_STATUSES = frozenset({207, 400, 402, 403, 409, 413, 422})
# What TLS says of an answer that is plain HTTP.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


@dataclass
class PushResult:
    """What became of the rows."""

    metric: str
    rows: int = 0
    sent: int = 0
    stored: int = 0
    missing: int = 0
    refused: int = 0
    unreadable: int = 0
    resumed_after_rows: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--metric", required=True, help="The name of the metric.")
@click.option(
    "--url", default="http://127.0.0.1:8080", show_default=True, help="Where the product is."
)
@click.option("--key", required=True, help="A token with the scope ingest.")
@click.option(
    "--backfill",
    is_flag=True,
    help="The rows are history: they are judged as they would have been at their time.",
)
@click.option("--restart", is_flag=True, help="Send the whole file, whatever was sent before.")
@click.option(
    "--state",
    "state_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to remember how far it came; in your cache directory otherwise.",
)
@reading_options
@json_option
def push(
    file: Path,
    metric: str,
    url: str,
    key: str,
    state_path: Path | None,
    *,
    backfill: bool,
    restart: bool,
    time_column: str | None,
    value_column: str | None,
    decimal: str | None,
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Send a file of points to a server.

    FILE is a table of times and values, plain or gzipped, such as a CSV of timestamp,value rows or
    an export of Grafana, InfluxDB or Excel. Its columns are found by their header or by what they
    hold. Times are unix seconds, milliseconds, microseconds or nanoseconds, told apart by their
    size, or dates such as 2026-11-28T13:00:00Z, 20261128 or 28.11.2026 13:00 (UTC if they name no
    zone). Rows are sent in the order of their times; one without a value is left out. How the file
    was read is said in a sentence; nothing is sent of a file with rows that cannot be read, unless
    they may be skipped. After an interruption the same command goes on where it stopped. The exit
    code is 1 when the server refused a row.
    """
    # The arrays take a while to load: not for those who only ask for help.
    from anomify.cli.points_file import read_points  # noqa: PLC0415 -- as said

    address = server_address(url)
    choices = choices_of(
        time_column=time_column,
        value_column=value_column,
        decimal=decimal,
        skip_unreadable=skip_unreadable,
    )
    points = read_points(file, choices)
    click.echo(points.sentence, err=True)
    bookmark = Bookmark(state_path or default_state_path(file, url, metric), file, repr(choices))
    if restart:
        bookmark.forget()
    summary = PushResult(
        metric, unreadable=points.unreadable_total, resumed_after_rows=bookmark.rows()
    )
    blueprint = IngestClient(address, key, is_backfill=backfill)
    with click.progressbar(
        length=len(points.times), label=metric, file=sys.stderr, hidden=as_json
    ) as bar:
        for batch in batches(points, metric, summary):
            blueprint.send(batch, summary)
            bookmark.keep(summary.rows)
            bar.update(summary.rows - bar.pos)
    bookmark.forget()
    _report(summary, points.unreadable, as_json=as_json)


def server_address(url: str) -> str:
    """Return the address of the server that somebody named. Raises Invalid where it is none.

    The path that points are sent to may stand at its end.
    """
    address = url.strip().rstrip("/").removesuffix(DOOR).rstrip("/")
    try:
        parsed = urllib3.util.parse_url(address)
    except urllib3.exceptions.LocationParseError:
        parsed = urllib3.util.Url()
    if "://" not in address or parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Invalid(
            f"{url!r} is no address of a server: write it with --url as http://127.0.0.1:8080 or"
            " https://anomify.example."
        )
    return address


@dataclass(frozen=True)
class PushBatch:
    """Rows for one request, each with its line in the file."""

    items: list[dict[str, Any]]
    lines: list[int]


def batches(points: "FilePoints", metric: str, summary: PushResult) -> Iterator[PushBatch]:
    """Cut the rows that were not sent yet into requests, and count them on the way."""
    item_bytes = len(json.dumps(metric)) + 80
    at_most = max(1, min(BATCH_POINTS, BATCH_BYTES // item_bytes))
    order = points.order()
    summary.rows = min(summary.resumed_after_rows, len(order))
    order = order[summary.rows :]
    has_value = ~points.is_missing()[order]
    sent = order[has_value]
    # So many rows of the file are done after each of them.
    ends = has_value.nonzero()[0] + 1 + summary.rows
    for first in range(0, len(sent), at_most):
        rows = sent[first : first + at_most]
        items = [
            {"metric": metric, "timestamp": time_ms / 1000, "value": value}
            for time_ms, value in zip(
                points.times[rows].tolist(), points.values[rows].tolist(), strict=True
            )
        ]
        end = int(ends[first + len(rows) - 1])
        summary.missing += end - summary.rows - len(rows)
        summary.rows = end
        yield PushBatch(items, points.lines[rows].tolist())
    summary.missing += len(points.times) - summary.rows
    summary.rows = len(points.times)


class IngestClient:
    """The way in: sends until it is stored, refused, or patience ends."""

    def __init__(self, address: str, key: str, *, is_backfill: bool) -> None:
        """Remember where to send and as whom."""
        self._address = address
        self._url = address + DOOR
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._is_backfill = is_backfill
        self._pool = operator_pool()
        self._has_answered = False

    def send(self, batch: PushBatch, summary: PushResult) -> None:
        """Send one batch and count what became of it.

        Sending a batch twice changes nothing, so whatever may have been lost is sent again.
        """
        document: dict[str, Any] = {"metrics": batch.items}
        if self._is_backfill:
            document["fill"] = "true"
        reply = self._post_patiently(json.dumps(document).encode())
        summary.sent += len(batch.items)
        report = _report_of(reply)
        if report is not None:
            _count_refusals(report, batch, summary)
        else:
            summary.stored += len(batch.items)

    def _post_patiently(self, body: bytes) -> urllib3.BaseHTTPResponse:
        begun = time.monotonic()
        pause = FIRST_PAUSE_SECONDS
        is_told = False
        while True:
            try:
                reply = self._pool.request("POST", self._url, body=body, headers=self._headers)
            except urllib3.exceptions.LocationValueError as error:
                raise Invalid(f"{self._url} is no address: {error}.") from None
            except urllib3.exceptions.HTTPError as error:
                wait, why = pause, self._failure(error)
            else:
                if reply.status == STORED or _report_of(reply) is not None:
                    self._has_answered = True
                    return reply
                if reply.status not in AGAIN:
                    raise AnomifyError(self._refusal(reply))
                self._has_answered = True
                wait = max(pause, _retry_after_seconds(reply))
                why = f"The server says {reply.status}: {_said(reply)}"
            wait_times = PATIENCE_SECONDS
            if not self._has_answered:
                wait_times = min(wait_times, FIRST_PATIENCE_SECONDS)
            if time.monotonic() + wait > begun + wait_times:
                raise Unavailable(f"{why} {self._hint()}".strip())
            if not is_told:
                is_told = True
                # On a terminal the bar stands in the line.
                click.echo(
                    "\n"
                    * sys.stderr.isatty()
                    + f"{why} Trying again for {_lasting(wait_times)}; Ctrl-C ends it, and the same"
                    " command goes on from here.",
                    err=True,
                )
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _failure(self, error: urllib3.exceptions.HTTPError) -> str:
        """Say why nothing answered. Raises where to try again is of no use."""
        said = str(error)
        if isinstance(error, urllib3.exceptions.SSLError):
            if any(word in said for word in _NOT_TLS):
                other = "http" + self._address.removeprefix("https")
                raise Unavailable(
                    f"{self._address} does not speak https. Is it plain http? Then say --url"
                    f" {other}."
                )
            raise Unavailable(f"{self._address} cannot be trusted: {said}.")
        if self._has_answered:
            return f"{self._address} does not answer: {_reason(error)}."
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            raise Unavailable(
                f"There is no server called {urllib3.util.parse_url(self._address).host}:"
                " --url names the address of the server."
            )
        if isinstance(error, urllib3.exceptions.ProtocolError) and self._is_plain():
            raise Unavailable(
                f"What answers at {self._address} does not speak http. Is it https? Then say --url"
                f" https{self._address.removeprefix('http')}."
            )
        return f"Nothing answers at {self._address}: {_reason(error)}."

    def _refusal(self, reply: urllib3.BaseHTTPResponse) -> str:
        """Say what an answer means that is neither yes nor try again."""
        said = f"{self._url} answers {reply.status}"
        location = reply.headers.get("Location")
        if 300 <= reply.status < 400 and location:  # noqa: PLR2004 -- HTTP's redirections
            there = location.removesuffix(DOOR)
            return f"{said}: it is at {there} now. Say that with --url; nothing was stored."
        if reply.status in {404, 405} or reply.status < 400:  # noqa: PLR2004 -- HTTP's first "no"
            return (
                f"{said}: nothing there takes points. Are port and path right? --url names the"
                " server alone, such as http://127.0.0.1:8080; nothing was stored."
            )
        told = f"The server says {reply.status}: {_said(reply)}"
        if reply.status == 400 and self._is_plain() and "HTTPS" in told.upper():  # noqa: PLR2004 -- HTTP refuses
            told += f" Say --url https{self._address.removeprefix('http')}."
        return told

    def _hint(self) -> str:
        if self._has_answered:
            return "The same command goes on from here."
        return (
            "Is Anomify running there, and is the port right? --url names another address, such as"
            " --url http://127.0.0.1:9090."
        )

    def _is_plain(self) -> bool:
        return self._address.startswith("http://")


class Bookmark:
    """How many rows of a file have been stored, kept across interruptions."""

    def __init__(self, path: Path, file: Path, choices: str) -> None:
        """Remember the file as it is now: a bookmark in another one counts for nothing.

        Nor does one that was kept when the file was read in another way.
        """
        self._path = path
        status = file.stat()
        self._edition = {
            "size_bytes": status.st_size,
            "modified_ns": status.st_mtime_ns,
            "read": f"by time, {choices}",
        }

    def rows(self) -> int:
        """Return how many rows need not be sent again."""
        try:
            kept = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        rows = kept.pop("rows", 0)
        return rows if kept == self._edition and isinstance(rows, int) else 0

    def keep(self, rows: int) -> None:
        """Write down that so many rows are stored."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps({"rows": rows, **self._edition}))
        aside.replace(self._path)

    def forget(self) -> None:
        """Begin at the first row next time."""
        self._path.unlink(missing_ok=True)


def default_state_path(file: Path, url: str, metric: str) -> Path:
    """Return where the bookmark of this file for this metric of this server lies."""
    key = json.dumps([str(file.resolve()), url, metric]).encode()
    name = hashlib.sha256(key).hexdigest()[:32]
    return Path.home() / ".cache" / "anomify" / "push" / f"{name}.json"


def _count_refusals(report: dict[str, Any], batch: PushBatch, summary: PushResult) -> None:
    refused = int(report["rejected_total"])
    summary.refused += refused
    summary.stored += len(batch.items) - refused
    for told in report["rejected"][: SHOWN_REFUSALS - len(summary.refusals)]:
        summary.refusals.append({"line": batch.lines[told["index"]], "reason": told["reason"]})


def _report_of(reply: urllib3.BaseHTTPResponse) -> dict[str, Any] | None:
    """Return what the server says of each row, where it says that."""
    if reply.status not in REPORT_STATUSES:
        return None
    try:
        report = reply.json()
    except ValueError:
        return None
    is_report = isinstance(report, dict) and isinstance(report.get("rejected"), list)
    return report if is_report and isinstance(report.get("rejected_total"), int) else None


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return str(error).rpartition(": ")[2].rpartition("] ")[2].lower()
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it took too long"
    return str(error)


def _lasting(seconds: float) -> str:
    if seconds >= 120:  # noqa: PLR2004 -- two minutes
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds"


def _said(reply: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(reply.json()["message"])
    except (ValueError, KeyError, TypeError):
        return reply.data.decode(errors="replace")[:200] or "nothing more"


def _retry_after_seconds(reply: urllib3.BaseHTTPResponse) -> float:
    try:
        return min(float(reply.headers.get("Retry-After", "0")), RETRY_AFTER_MAX_SECONDS)
    except ValueError:
        return 0.0


def _report(summary: PushResult, unreadable: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
    else:
        click.echo(f"{summary.metric}: {summary.stored:,} points are stored.")
        if summary.resumed_after_rows:
            click.echo(f"The first {summary.resumed_after_rows:,} rows had been sent before.")
        if summary.missing:
            click.echo(f"{summary.missing:,} rows have no value and were left out.")
        for refusal in summary.refusals:
            click.echo(f"line {refusal['line']}: {refusal['reason']}", err=True)
        if summary.refused:
            click.echo(f"{summary.refused:,} rows were refused.", err=True)
        for told in unreadable:
            click.echo(told, err=True)
        if summary.unreadable:
            click.echo(f"{summary.unreadable:,} rows cannot be read and were left out.", err=True)
    if summary.refused or summary.unreadable:
        click.get_current_context().exit(1)
