"""`anomify push`: sends a file of datapoints to a server and resumes after an interruption."""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomify.cli.ingest_client import IngestClient, PushBatch, PushResult, server_address
from anomify.cli.reading_options import choices_of, reading_options
from anomify.cli.settings import json_option, print_json

if TYPE_CHECKING:
    from anomify.cli.points_file import FilePoints

# Large enough that few requests are needed, and small enough for a body of half a mebibyte.
BATCH_POINTS = 5_000
BATCH_BYTES = 512 * 1024


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--metric", required=True, help="The name of the metric.")
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The address of the Anomify server.",
)
@click.option("--key", required=True, help="A token with the scope ingest.")
@click.option(
    "--backfill",
    is_flag=True,
    help="Mark the rows as historical data: they are judged as if they had arrived at their time.",
)
@click.option(
    "--restart", is_flag=True, help="Send the whole file, even if a part was sent before."
)
@click.option(
    "--state",
    "state_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that keeps the progress; by default it is in your cache directory.",
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
    """Send a file of datapoints to a server.

    FILE is a table of times and values, plain or gzipped, such as a CSV of timestamp,value rows or
    an export of Grafana, InfluxDB or Excel. Its columns are found by their header or by what they
    hold. Times are unix seconds, milliseconds, microseconds or nanoseconds, recognised by their
    size, or dates such as 2026-11-28T13:00:00Z, 20261128 or 28.11.2026 13:00 (UTC if they name no
    zone). Rows are sent in the order of their times; rows without a value are left out. A sentence
    says how the file was read. If rows cannot be read, nothing is sent unless --skip-unreadable is
    given. After an interruption, the same command resumes where it stopped. The exit code is 1 if
    the server refused a row.
    """
    # Imported here because numpy takes long to load and `--help` does not need it.
    from anomify.cli.points_file import read_points  # noqa: PLC0415 -- see above

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
    client = IngestClient(address, key, is_backfill=backfill)
    with click.progressbar(
        length=len(points.times), label=metric, file=sys.stderr, hidden=as_json
    ) as bar:
        for batch in batches(points, metric, summary):
            client.send(batch, summary)
            bookmark.keep(summary.rows)
            bar.update(summary.rows - bar.pos)
    bookmark.forget()
    _report(summary, points.unreadable, as_json=as_json)


def batches(points: "FilePoints", metric: str, summary: PushResult) -> Iterator[PushBatch]:
    """Yield the rows that were not sent yet in batches, and count rows in `summary`."""
    item_bytes = len(json.dumps(metric)) + 80
    at_most = max(1, min(BATCH_POINTS, BATCH_BYTES // item_bytes))
    order = points.order()
    summary.rows = min(summary.resumed_after_rows, len(order))
    order = order[summary.rows :]
    has_value = ~points.is_missing()[order]
    sent = order[has_value]
    # The number of rows of the file that are done after each sent row.
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


class Bookmark:
    """The number of rows of a file that have been stored, kept in a file."""

    def __init__(self, path: Path, file: Path, choices: str) -> None:
        """Note the file's size, time of change and reading options.

        A bookmark that was kept with other ones is ignored.
        """
        self._path = path
        status = file.stat()
        self._edition = {
            "size_bytes": status.st_size,
            "modified_ns": status.st_mtime_ns,
            "read": f"by time, {choices}",
        }

    def rows(self) -> int:
        """Return how many rows are stored already."""
        try:
            kept = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return 0
        rows = kept.pop("rows", 0)
        return rows if kept == self._edition and isinstance(rows, int) else 0

    def keep(self, rows: int) -> None:
        """Record that the first `rows` rows are stored."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"rows": rows, **self._edition}))
        draft.replace(self._path)

    def forget(self) -> None:
        """Delete the bookmark, so that the next run starts at the first row."""
        self._path.unlink(missing_ok=True)


def default_state_path(file: Path, url: str, metric: str) -> Path:
    """Return the path of the bookmark for this file, server and metric."""
    key = json.dumps([str(file.resolve()), url, metric]).encode()
    name = hashlib.sha256(key).hexdigest()[:32]
    return Path.home() / ".cache" / "anomify" / "push" / f"{name}.json"


def _report(summary: PushResult, unreadable: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
    else:
        click.echo(f"{summary.metric}: {summary.stored:,} points are stored.")
        if summary.resumed_after_rows:
            click.echo(f"The first {summary.resumed_after_rows:,} rows were sent before.")
        if summary.missing:
            click.echo(f"{summary.missing:,} rows have no value and were left out.")
        for refusal in summary.refusals:
            click.echo(f"line {refusal['line']}: {refusal['reason']}", err=True)
        if summary.refused:
            click.echo(f"{summary.refused:,} rows were refused.", err=True)
        for problem in unreadable:
            click.echo(problem, err=True)
        if summary.unreadable:
            click.echo(f"{summary.unreadable:,} rows cannot be read and were left out.", err=True)
    if summary.refused or summary.unreadable:
        click.get_current_context().exit(1)
