"""Judges a file of datapoints as they would have been judged when they came."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import click
import numpy as np

from anomify.cli.points_file import FilePoints, read_points
from anomify.cli.reading_options import choices_of, reading_options

HEADER: Final = "timestamp,value,expected_lower,expected_upper,score,alert,is_anomaly"


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the results to this file instead of standard output.",
)
@click.option(
    "--head",
    type=click.Choice(["alarm", "display", "novelty"]),
    default="alarm",
    show_default=True,
    help="Detect what deserves an alert, the whole span of each anomaly, or any new behaviour.",
)
@click.option(
    "--severities",
    is_flag=True,
    help="Print the alert from which each severity holds, and read no file.",
)
@click.option("--json", "as_json", is_flag=True, help="With --severities: print them as JSON.")
@reading_options
def detect(
    file: Path | None,
    out: Path | None,
    head: str,
    *,
    severities: bool,
    as_json: bool,
    time_column: str | None,
    value_column: str | None,
    decimal: str | None,
    skip_unreadable: bool,
) -> None:
    """Detect anomalies in a file of datapoints, without a server.

    FILE is a table of times and values, plain or gzipped, such as a CSV of timestamp,value rows or
    an export of Grafana, InfluxDB or Excel. Its columns are found by their header or by what they
    hold. Times are unix seconds, milliseconds, microseconds or nanoseconds, recognised by their
    size, or dates such as 2026-11-28T13:00:00Z, 20261128 or 28.11.2026 13:00 (UTC if they name no
    zone); an empty value, NaN or null counts as missing. A sentence on standard error says how the
    file was read. For each row of the input there is one row of the output, in the same order:
    timestamp,value,expected_lower,expected_upper,score,alert,is_anomaly. Rows are judged in the
    order of their times, without regard to later rows. Rows without a value, with the time of an
    earlier row, or among the first hundred have score and alert 0. `score` ranks rows from 0 to 1;
    `alert` is the output of the chosen head (display: the score itself), and `is_anomaly` is 1
    where it reached the threshold.

    An alert of the alarm head has a severity, low, medium or high, by how rarely such an alert is
    false; --severities prints the alert from which each one holds.
    """
    if severities:
        if file is not None:
            raise click.UsageError("--severities reads no file: leave out FILE.")
        click.echo(_severities_json() if as_json else _severities_table())
        return
    if as_json:
        raise click.UsageError("--json belongs to --severities; rows are always written as CSV.")
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    choices = choices_of(
        time_column=time_column,
        value_column=value_column,
        decimal=decimal,
        skip_unreadable=skip_unreadable,
    )
    points = read_points(file, choices, with_stamps=True)
    click.echo(points.sentence, err=True)
    lines = judged_lines(points, head)
    with _opened(out) as stream:
        stream.write(HEADER + "\n")
        stream.writelines(lines)
    if points.unreadable_total:
        for problem in points.unreadable:
            click.echo(f"{file}, {problem}", err=True)
        click.get_current_context().exit(1)


def _severities_json() -> str:
    # Imported here, as all of the engine in this module.
    from anomify.detection.threshold import THRESHOLDS  # noqa: PLC0415 -- see above

    return json.dumps({severity.name.lower(): alert for severity, alert in THRESHOLDS.items()})


def _severities_table() -> str:
    from anomify.detection.threshold import (  # noqa: PLC0415 -- see above
        FALSE_ALARMS_A_METRIC_WEEK,
        THRESHOLDS,
    )

    rows = [("severity", "alert from", "false alarms of a metric in a week, at most")]
    rows += [
        (severity.name.lower(), f"{alert:.2f}", f"{FALSE_ALARMS_A_METRIC_WEEK[severity]:g}")
        for severity, alert in THRESHOLDS.items()
    ]
    return "\n".join(f"{name:<9}  {alert:>10}  {rate}" for name, alert, rate in rows)


def judged_lines(points: FilePoints, head: str) -> Iterator[str]:
    """Judge one metric's datapoints in order of time; yield output rows in the file's order."""
    # Imported here because it takes half a second, and only after the file has been read.
    from anomify.detection.detector import Head, judge  # noqa: PLC0415 -- see above
    from anomify.detection.state import EngineState  # noqa: PLC0415 -- see above
    from anomify.detection.threshold import (  # noqa: PLC0415 -- see above
        DISPLAY_THRESHOLD,
        HEAD_THRESHOLDS,
    )

    chosen = Head.NOVELTY if head == "novelty" else Head.ALARM
    order = points.order()
    times, values = points.times[order], points.values[order]
    verdicts = judge(EngineState.new(1), np.zeros(len(times), np.int64), times, values, chosen)
    alerts, threshold = verdicts.alerts, HEAD_THRESHOLDS[chosen]
    if head == "display":
        alerts, threshold = np.nan_to_num(verdicts.scores), DISPLAY_THRESHOLD
    is_anomaly = alerts >= np.float32(threshold)
    back = np.argsort(order)
    rows = zip(
        map(_cell, points.stamps),
        points.values.tolist(),
        verdicts.judged[back].tolist(),
        verdicts.lowers[back].tolist(),
        verdicts.uppers[back].tolist(),
        verdicts.scores[back].tolist(),
        alerts[back].tolist(),
        is_anomaly[back].tolist(),
        strict=True,
    )
    for stamp, value, is_judged, lower, upper, score, alert, anomalous in rows:
        shown = "" if math.isnan(value) else repr(value)
        if is_judged:
            yield f"{stamp},{shown},{lower!r},{upper!r},{score!r},{alert!r},{int(anomalous)}\n"
        else:
            yield f"{stamp},{shown},,,0,0,0\n"


def _cell(stamp: str) -> str:
    """Return a timestamp as a cell of a CSV."""
    return f'"{stamp}"' if "," in stamp else stamp


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8", newline="") as stream:
        yield stream


if __name__ == "__main__":
    detect()
