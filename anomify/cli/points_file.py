"""A file of points, row by row: a CSV of timestamp and value, plain or gzipped."""

import csv
import gzip
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

# Seconds of the year 5138, milliseconds of 1973: a number from here on is in milliseconds.
MILLISECONDS_FROM = 1e11
HEADER_WORDS = frozenset({"timestamp", "time", "date", "datetime"})


class UnreadableFileError(click.ClickException):
    """A row of the file cannot be understood; the message names file and line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was written and as it is understood; the value is NaN where it is missing."""

    line: int
    stamp: str
    time_ms: int
    value: float


class PointsFile:
    """The rows of a file, read once and never held all at once."""

    def __init__(self, path: Path) -> None:
        """Remember which file; it is opened when its rows are asked for."""
        self.path = path
        self.size_bytes = path.stat().st_size
        # How much of the file, as it lies on disk, has been read.
        self.read_bytes = 0

    def rows(self) -> Iterator[Row]:
        """Yield the rows, from the first to the last.

        Timestamps are unix seconds, unix milliseconds or ISO 8601 (UTC if no zone is named).
        Raises `UnreadableFileError` for a row without a timestamp or with a value that is none.
        """
        with self.path.open("rb") as raw:
            inner = gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw
            text = io.TextIOWrapper(inner, encoding="utf-8-sig", newline="")
            try:
                for number, cells in enumerate(csv.reader(text), start=1):
                    if not cells or (number == 1 and cells[0].strip().lower() in HEADER_WORDS):
                        continue
                    yield self._row(number, cells)
                    self.read_bytes = raw.tell()
            except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
                raise UnreadableFileError(f"{self.path} is not a CSV file: {error}") from error
            self.read_bytes = self.size_bytes

    def _row(self, number: int, cells: list[str]) -> Row:
        stamp = cells[0].strip()
        try:
            value = _value(cells[1].strip()) if len(cells) > 1 else math.nan
            return Row(number, stamp, _milliseconds(stamp), value)
        except (ValueError, OverflowError) as error:
            raise UnreadableFileError(f"{self.path}, line {number}: {error}") from error


def _milliseconds(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a timestamp") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a timestamp")
    return round(number) if abs(number) >= MILLISECONDS_FROM else round(number * 1000)


def _value(text: str) -> float:
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
