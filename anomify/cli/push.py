"""`anomify push`: sends a file of points through the HTTP door, and picks up where it left off."""

import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import urllib3

from anomify.cli.points_file import PointsFile, Row
from anomify.cli.settings import json_option, print_json
from anomify.errors import AnomifyError, Invalid, Unavailable
from anomify.outbound import operator_pool

DOOR = "/flux/metric_data_post"
# The door takes a mebibyte of JSON and 10,000 points; half of that leaves room for long names.
BATCH_POINTS = 5_000
BATCH_BYTES = 512 * 1024
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A server that asks for more patience than this is not waited for.
RETRY_AFTER_MAX_SECONDS = 300.0
PATIENCE_SECONDS = 600.0
SHOWN_REFUSALS = 20
AGAIN = frozenset({429, 500, 502, 503, 504})


@dataclass
class Summary:
    """What became of the rows."""

    metric: str
    rows: int = 0
    sent: int = 0
    stored: int = 0
    missing: int = 0
    refused: int = 0
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
    as_json: bool,
) -> None:
    """Send a file of points through the HTTP door.

    FILE is a CSV of timestamp,value rows of any number, plain or gzipped. Timestamps are unix
    seconds or milliseconds or ISO 8601; a row without a value is left out. After an interruption
    the same command goes on where it stopped. The exit code is 1 when the server refused a row.
    """
    points = PointsFile(file)
    bookmark = Bookmark(state_path or default_state_path(file, url, metric), file)
    if restart:
        bookmark.forget()
    summary = Summary(metric, resumed_after_rows=bookmark.rows())
    door = Door(url, key, is_backfill=backfill)
    with click.progressbar(
        length=points.size_bytes, label=metric, file=sys.stderr, hidden=as_json
    ) as bar:
        for batch in batches(points.rows(), metric, summary):
            door.send(batch, summary)
            bookmark.keep(summary.rows)
            bar.update(points.read_bytes - bar.pos)
    bookmark.forget()
    _report(summary, as_json=as_json)


@dataclass(frozen=True)
class Batch:
    """Rows for one request, each with its line in the file."""

    items: list[dict[str, Any]]
    lines: list[int]


def batches(rows: Iterator[Row], metric: str, summary: Summary) -> Iterator[Batch]:
    """Cut the rows that were not sent yet into requests, and count them on the way."""
    items: list[dict[str, Any]] = []
    lines: list[int] = []
    item_bytes = len(json.dumps(metric)) + 80
    at_most = max(1, min(BATCH_POINTS, BATCH_BYTES // item_bytes))
    for row in rows:
        if summary.rows < summary.resumed_after_rows:
            summary.rows += 1
            continue
        if len(items) == at_most:
            yield Batch(items, lines)
            items, lines = [], []
        summary.rows += 1
        if math.isnan(row.value):
            summary.missing += 1
            continue
        items.append({"metric": metric, "timestamp": row.time_ms / 1000, "value": row.value})
        lines.append(row.line)
    if items:
        yield Batch(items, lines)


class Door:
    """The way in: sends until it is stored, refused, or patience ends."""

    def __init__(self, url: str, key: str, *, is_backfill: bool) -> None:
        """Remember where to send and as whom."""
        self._url = url.rstrip("/") + DOOR
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._is_backfill = is_backfill
        self._pool = operator_pool()

    def send(self, batch: Batch, summary: Summary) -> None:
        """Send one batch and count what became of it.

        Sending a batch twice changes nothing, so whatever may have been lost is sent again.
        """
        document: dict[str, Any] = {"metrics": batch.items}
        if self._is_backfill:
            document["fill"] = "true"
        reply = self._post_patiently(json.dumps(document).encode())
        summary.sent += len(batch.items)
        if reply.status == 207 or _is_report(reply):  # noqa: PLR2004 -- some or all are refused
            _count_refusals(reply.json(), batch, summary)
        else:
            summary.stored += len(batch.items)

    def _post_patiently(self, body: bytes) -> urllib3.BaseHTTPResponse:
        deadline = time.monotonic() + PATIENCE_SECONDS
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                reply = self._pool.request("POST", self._url, body=body, headers=self._headers)
            except urllib3.exceptions.LocationValueError as error:
                raise Invalid(f"{self._url} is no address: {error}.") from None
            except urllib3.exceptions.HTTPError as error:
                wait, why = pause, str(error)
            else:
                if reply.status < 400 or _is_report(reply):  # noqa: PLR2004 -- HTTP's first "no"
                    return reply
                if reply.status not in AGAIN:
                    raise AnomifyError(f"The server says {reply.status}: {_said(reply)}")
                asked = _retry_after_seconds(reply)
                wait, why = max(pause, asked), f"{reply.status}: {_said(reply)}"
            if time.monotonic() + wait > deadline:
                raise Unavailable(
                    f"{self._url} did not take the rows: {why}. The same command goes on from here."
                )
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Bookmark:
    """How many rows of a file have been stored, kept across interruptions."""

    def __init__(self, path: Path, file: Path) -> None:
        """Remember the file as it is now: a bookmark in another one counts for nothing."""
        self._path = path
        status = file.stat()
        self._edition = {"size_bytes": status.st_size, "modified_ns": status.st_mtime_ns}

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


def _count_refusals(report: dict[str, Any], batch: Batch, summary: Summary) -> None:
    refused = int(report["rejected_total"])
    summary.refused += refused
    summary.stored += len(batch.items) - refused
    for told in report["rejected"][: SHOWN_REFUSALS - len(summary.refusals)]:
        summary.refusals.append({"line": batch.lines[told["index"]], "reason": told["reason"]})


def _is_report(reply: urllib3.BaseHTTPResponse) -> bool:
    """Tell whether a reply names the refused rows one by one, as 400 does where it is all."""
    if reply.status != 400:  # noqa: PLR2004 -- a request that is sent again for nothing
        return False
    try:
        return "rejected_total" in reply.json()
    except (ValueError, TypeError):
        return False


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


def _report(summary: Summary, *, as_json: bool) -> None:
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
    if summary.refused:
        click.get_current_context().exit(1)
