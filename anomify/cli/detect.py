"""Judges a file of datapoints as they would have been judged when they came."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import click
import numpy as np

from anomify.cli.points_file import PointsFile
from anomify.series import Float64s, Int64s

HEADER: Final = "timestamp,value,expected_lower,expected_upper,score,alert,is_anomaly"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the verdicts to this file instead of printing them.",
)
@click.option(
    "--head",
    type=click.Choice(["alarm", "display", "novelty"]),
    default="alarm",
    show_default=True,
    help="Find what people should look at, the whole span of it, or anything that is new.",
)
def detect(file: Path, out: Path | None, head: str) -> None:
    """Judge a file of points, without a server.

    FILE is a CSV of timestamp,value rows, plain or gzipped. Timestamps are unix seconds, unix
    milliseconds or ISO 8601 (UTC if it names no zone); an empty value or NaN is a missing one.
    For each row of the input there is one row of the output, in order:
    timestamp,value,expected_lower,expected_upper,score,alert,is_anomaly. No row is judged by
    what comes after it. A row that is missing, not after the one before, or among the first
    hundred has score and alert 0. `score` ranks rows from 0 to 1; `alert` is what the head
    raises (display: the score itself) and `is_anomaly` says that it reached the threshold.
    """
    stamps, times, values = read_points(file)
    lines = judged_lines(stamps, times, values, head)
    with _opened(out) as stream:
        stream.write(HEADER + "\n")
        stream.writelines(lines)


def read_points(file: Path) -> tuple[list[str], Int64s, Float64s]:
    """Return the timestamps as written, as unix milliseconds, and the values (NaN if missing).

    Raises `UnreadableFileError` for a row without a timestamp or a number.
    """
    rows = list(PointsFile(file).rows())
    times = np.array([row.time_ms for row in rows], np.int64)
    return [row.stamp for row in rows], times, np.array([row.value for row in rows], np.float64)


def judged_lines(stamps: list[str], times: Int64s, values: Float64s, head: str) -> Iterator[str]:
    """Judge one metric's points from the first to the last and yield the lines of the output."""
    # The kernel takes half a second to load: not before the file is known to be readable.
    from anomify.detection.detector import Head, judge  # noqa: PLC0415 -- as said
    from anomify.detection.state import EngineState  # noqa: PLC0415 -- as said
    from anomify.detection.threshold import (  # noqa: PLC0415 -- as said
        DISPLAY_THRESHOLD,
        HEAD_THRESHOLDS,
    )

    chosen = Head.NOVELTY if head == "novelty" else Head.ALARM
    verdicts = judge(EngineState.new(1), np.zeros(len(times), np.int64), times, values, chosen)
    alerts, threshold = verdicts.alerts, HEAD_THRESHOLDS[chosen]
    if head == "display":
        alerts, threshold = np.nan_to_num(verdicts.scores), DISPLAY_THRESHOLD
    is_anomaly = alerts >= np.float32(threshold)
    rows = zip(
        stamps,
        values.tolist(),
        verdicts.judged.tolist(),
        verdicts.lowers.tolist(),
        verdicts.uppers.tolist(),
        verdicts.scores.tolist(),
        alerts.tolist(),
        is_anomaly.tolist(),
        strict=True,
    )
    for stamp, value, is_judged, lower, upper, score, alert, anomalous in rows:
        said = "" if math.isnan(value) else repr(value)
        if is_judged:
            yield f"{stamp},{said},{lower!r},{upper!r},{score!r},{alert!r},{int(anomalous)}\n"
        else:
            yield f"{stamp},{said},,,0,0,0\n"


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with out.open("w", encoding="utf-8", newline="") as stream:
        yield stream


if __name__ == "__main__":
    detect()
