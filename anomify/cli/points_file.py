"""A file of points: a table of timestamp and value as programs export it, plain or gzipped."""

import csv
from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from anomify.cli.cells import (
    COMPACT_DATES,
    UNIX_KINDS,
    Decimal,
    ParsedTime,
    Writing,
    finite,
    is_missing,
    is_usual,
    moment_of,
    moment_with_clock,
    number_of,
    shown,
    writing_of,
)
from anomify.cli.reading_options import Choices
from anomify.cli.table_layout import SEPARATORS, Layout, NoLayout, find_layout
from anomify.cli.table_text import (
    DAMAGE_ERRORS,
    UnreadableFileError,
    is_row,
    named_separator,
    opened_lines,
    refuse_file,
)
from anomify.clock import to_ms
from anomify.series import Bools, Float64s, Int64s

SAMPLE_LINES: Final = 200
SHOWN_UNREADABLE: Final = 5
# A datetime's own years; what lies outside cannot be shown and is no time of a metric.
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_999
_EPOCH_SUSPECT_MS: Final = to_ms(datetime(1980, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class FilePoints:
    """The rows of a file in its own order; the value is NaN where it is missing."""

    lines: Int64s
    times: Int64s
    values: Float64s
    # The timestamps as they are written, where they were asked for.
    stamps: list[str]
    # How the file was read, and what was left out, in a sentence.
    sentence: str
    unreadable: list[str]
    unreadable_total: int

    def order(self) -> Int64s:
        """Return the rows in the order of their times; those of one time in the file's order."""
        return np.argsort(self.times, kind="stable").astype(np.int64)

    def is_missing(self) -> Bools:
        """Return which rows have no value."""
        return np.isnan(self.values)


def read_points(path: Path, choices: Choices, *, with_stamps: bool = False) -> FilePoints:
    """Read all rows of a file.

    Its columns are found by their header or by what they hold; `Choices` says what cannot be found.
    Raises `UnreadableFileError` for a file that is no table of points or is damaged, and, unless
    they may be skipped, for rows that cannot be read.
    """
    try:
        return _Reader(path, choices, with_stamps=with_stamps).read()
    except DAMAGE_ERRORS as damage:
        refuse_file(path, f"is damaged or was cut short, so it cannot be unpacked ({damage})")
    except csv.Error as error:
        refuse_file(path, f"is not a CSV file: {error}")
    except UnicodeError as error:
        refuse_file(path, f"is not a text: {error}")


@dataclass(slots=True)
class _Pass:
    """What one reading of the rows has found."""

    lines: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    stamps: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unreadable_total: int = 0
    # The first line of each way to write a number or a moment.
    writings: dict[Writing, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    day_first: dict[bool, int] = field(default_factory=dict)
    unknown_order: int | None = None
    # By column, of those that say which series a row belongs to.
    series: dict[int, str] = field(default_factory=dict)

    def leave_out(self, line: int, reason: str) -> None:
        """Count a row that cannot be read, and keep the reason of the first few."""
        self.unreadable_total += 1
        if len(self.unreadable) < SHOWN_UNREADABLE:
            self.unreadable.append(f"line {line}: {reason}")


class _Reader:
    """Reads a file: once to find out how it is written, and again where that asks for it."""

    def __init__(self, path: Path, choices: Choices, *, with_stamps: bool) -> None:
        self._path = path
        self._choices = choices
        self._with_stamps = with_stamps
        self._series_columns: list[int] = []

    def read(self) -> FilePoints:
        layout = self._layout()
        if layout is None:
            empty = np.empty(0, np.int64)
            sentence = f"{self._path}: it holds no rows."
            return FilePoints(empty, empty, np.empty(0), [], sentence, [], 0)
        decimal, day_first = self._choices.decimal, None
        found = self._pass(layout, decimal or Decimal.POINT, day_first=day_first)
        chosen = decimal or self._decimal_of(found, layout)
        day_first = self._day_first_of(found)
        if chosen is not (decimal or Decimal.POINT) or day_first is not None:
            found = self._pass(layout, chosen, day_first=day_first)
        unix = [line for kind, line in found.kinds.items() if kind in UNIX_KINDS]
        if COMPACT_DATES in found.kinds and unix:
            refuse_file(
                self._path,
                f"has {COMPACT_DATES} (line {found.kinds[COMPACT_DATES]}) and times that count"
                f" seconds (line {unix[0]}); write them all in one way",
            )
        points = self._points(found, layout, chosen)
        if found.unreadable_total and not self._choices.skip_unreadable:
            self._refuse_rows(found)
        return points

    def _layout(self) -> Layout | None:
        with opened_lines(self._path) as lines:
            separator, told = named_separator(lines)
            sample = [line for line in islice(told, SAMPLE_LINES) if is_row(line)]
        if not sample:
            return None
        requested = self._choices
        layout = find_layout(sample, separator, requested.time_column, requested.value_column)
        if isinstance(layout, NoLayout):
            # Headers alone are an empty table, not a wrong one.
            if len(sample) == 1 and layout.rank < 1:
                return None
            refuse_file(self._path, f"cannot be read: {layout.reason}")
        return layout

    def _pass(self, layout: Layout, decimal: Decimal, *, day_first: bool | None) -> _Pass:
        found = _Pass()
        self._series_columns = layout.series_columns()
        with opened_lines(self._path) as lines:
            separator, told = named_separator(lines)
            skipped = 1 if separator else 0
            reader = csv.reader(told, delimiter=layout.separator, strict=True)
            before = 0
            for cells in reader:
                begun, before = before + 1 + skipped, reader.line_num
                if not cells or not any(cells):
                    continue
                if cells[0].startswith("#") or self._is_header(cells, layout):
                    continue
                if reader.line_num + skipped != begun:
                    found.leave_out(begun, "a quoted cell goes over several lines")
                    continue
                try:
                    self._add(found, begun, cells, layout, decimal, day_first=day_first)
                except ValueError as error:
                    found.leave_out(begun, str(error))
        return found

    def _is_header(self, cells: list[str], layout: Layout) -> bool:
        header = layout.header
        if header is None or cells[0].strip() != header[0]:
            return False
        return tuple(cell.strip() for cell in cells) == header

    def _add(
        self,
        found: _Pass,
        line: int,
        cells: list[str],
        layout: Layout,
        decimal: Decimal,
        *,
        day_first: bool | None,
    ) -> None:
        width = layout.width
        if len(cells) != width and (len(cells) < width or any(map(str.strip, cells[width:]))):
            raise ValueError(_wrong_width(len(cells), layout))
        stamp = cells[layout.time].strip()
        if layout.clock is None:
            moment = moment_of(stamp, day_first=day_first)
        else:
            clock = cells[layout.clock].strip()
            moment = moment_with_clock(stamp, clock, day_first=day_first)
            stamp = f"{stamp} {clock}"
        if not _EARLIEST_MS <= moment.ms <= _LATEST_MS:
            raise ValueError(f"{shown(stamp)} is not a timestamp")
        value = self._value(found, line, cells[layout.value].strip(), decimal)
        self._note(found, line, moment)
        for column in self._series_columns:
            told = found.series.setdefault(column, cells[column])
            if told != cells[column]:
                refuse_file(
                    self._path,
                    f"holds several series: {layout.column(column)} says {shown(told)} and in line"
                    f" {line} {shown(cells[column])}. Make a file of each",
                )
        found.lines.append(line)
        found.times.append(moment.ms)
        found.values.append(value)
        if self._with_stamps:
            found.stamps.append(stamp)

    def _value(self, found: _Pass, line: int, text: str, decimal: Decimal) -> float:
        if is_usual(text):
            if "." in text:
                if Writing.POINT not in found.writings:
                    found.writings[Writing.POINT] = line
                if decimal is Decimal.COMMA:
                    raise ValueError(f"{shown(text)} is not a number with a decimal comma")
            return finite(text, text)
        if is_missing(text):
            return float("nan")
        writing = writing_of(text)
        if writing is None:
            raise ValueError(f"{shown(text)} is not a number")
        found.writings.setdefault(writing, line)
        if writing is Writing.COMMA and decimal is Decimal.POINT and not self._choices.decimal:
            # The whole column is read again with a decimal comma, or refused.
            return 0.0
        return number_of(text, decimal)

    def _note(self, found: _Pass, line: int, moment: ParsedTime) -> None:
        if moment.kind not in found.kinds:
            found.kinds[moment.kind] = line
        if moment.day_first is not None:
            found.day_first.setdefault(moment.day_first, line)
        if moment.is_order_unknown and found.unknown_order is None:
            found.unknown_order = line

    def _decimal_of(self, found: _Pass, layout: Layout) -> Decimal:
        told = found.writings
        if Writing.POINT in told and Writing.COMMA in told:
            refuse_file(
                self._path,
                f"has decimals after a point (line {told[Writing.POINT]}) and after a comma (line"
                f" {told[Writing.COMMA]}); write them all in one way",
            )
        if Writing.POINT in told:
            return Decimal.POINT
        if Writing.COMMA in told:
            return Decimal.COMMA
        unclear = told.get(Writing.EITHER_COMMA)
        if unclear is None and layout.separator != ",":
            # Where cells are parted by commas nobody parts thousands by points.
            unclear = told.get(Writing.EITHER_POINT)
        if unclear is not None:
            refuse_file(
                self._path,
                f"does not tell whether the number in line {unclear} has decimals or thousands:"
                " say --decimal point or --decimal comma",
            )
        return Decimal.POINT

    def _day_first_of(self, found: _Pass) -> bool | None:
        told = found.day_first
        if len(told) > 1:
            refuse_file(
                self._path,
                f"has dates with the day first (line {told[True]}) and with the month first (line"
                f" {told[False]}); write them all in one way",
            )
        if found.unknown_order is None:
            return None
        if not told:
            refuse_file(
                self._path,
                f"does not tell whether the date in line {found.unknown_order} begins with the day"
                " or with the month: write dates as 2026-11-28",
            )
        return next(iter(told))

    def _points(self, found: _Pass, layout: Layout, decimal: Decimal) -> FilePoints:
        times = np.frombuffer(found.times, np.int64) if found.times else np.empty(0, np.int64)
        values = np.frombuffer(found.values, np.float64) if found.values else np.empty(0)
        lines = np.frombuffer(found.lines, np.int64) if found.lines else np.empty(0, np.int64)
        self._refuse_mixed_series(lines, times, values, layout)
        return FilePoints(
            lines,
            times,
            values,
            found.stamps,
            f"{self._path}: {_sentence(found, layout, decimal, times, values)}",
            found.unreadable,
            found.unreadable_total,
        )

    def _refuse_mixed_series(
        self, lines: Int64s, times: Int64s, values: Float64s, layout: Layout
    ) -> None:
        """Refuse rows of one time and different values where something else may tell them apart."""
        if not layout.others() or len(times) < 2:  # noqa: PLR2004 -- a pair
            return
        order = np.argsort(times, kind="stable")
        is_same = np.diff(times[order]) == 0
        first, second = values[order][:-1], values[order][1:]
        places = np.flatnonzero(is_same & (first != second) & ~(np.isnan(first) | np.isnan(second)))
        if len(places):
            at = sorted(int(lines[order][place]) for place in (places[0], places[0] + 1))
            names = ", ".join(layout.column(column) for column in layout.others()[:4])
            refuse_file(
                self._path,
                f"has two values for one time in lines {at[0]} and {at[1]}, and {names} beside"
                " them: it seems to hold several series. Make a file of each",
            )

    def _refuse_rows(self, found: _Pass) -> NoReturn:
        total = found.unreadable_total
        rows = "1 row" if total == 1 else f"{total:,} rows"
        of = f"{total + len(found.times):,}"
        listed = "\n".join(f"  {self._path}, {told}" for told in found.unreadable)
        more = "\n  ..." if total > len(found.unreadable) else ""
        raise UnreadableFileError(
            f"{rows} of {of} cannot be read, so none of the file is used; correct them, or leave"
            f" them out with --skip-unreadable.\n{listed}{more}"
        )


def _sentence(
    found: _Pass, layout: Layout, decimal: Decimal, times: Int64s, values: Float64s
) -> str:
    """Say in one sentence how a file was read."""
    where = layout.column(layout.time)
    if layout.clock is not None:
        where += f" and {layout.column(layout.clock)}"
    said = [
        f"read {_counted(len(times), 'row')}: the time is in {where}"
        + (f" as {' and '.join(found.kinds)}" if found.kinds else "")
        + f", the value in {layout.column(layout.value)}"
    ]
    if decimal is Decimal.COMMA:
        said.append("with a decimal comma")
    elif Writing.EITHER_POINT in found.writings and Writing.POINT not in found.writings:
        said.append("numbers such as 1.234 are taken to have decimals")
    if layout.separator != ",":
        said.append(f"cells are parted by {SEPARATORS[layout.separator]}")
    if others := layout.others():
        names = ", ".join(layout.column(column) for column in others[:4])
        said.append(f"{names}{' and more' if len(others) > 4 else ''} not read")  # noqa: PLR2004 -- enough
    if len(times):
        said.append(f"from {_shown_time(int(times.min()))} to {_shown_time(int(times.max()))} UTC")
        steps = np.diff(times)
        if (steps < 0).any():
            newest = (steps <= 0).all()
            said.append("newest row first" if newest else "not in the order of their times")
        if repeated := int(np.count_nonzero(np.diff(np.sort(times)) == 0)):
            said.append(
                f"{_counted(repeated, 'row')} with the time of another, of which the last counts"
            )
        if int(times.min()) < _EPOCH_SUSPECT_MS and found.kinds.keys() & UNIX_KINDS:
            said.append("some before 1980, so check that these are unix timestamps")
    missing = int(np.count_nonzero(np.isnan(values)))
    said.append(f"{_counted(missing, 'row')} without a value left out")
    if found.unreadable_total:
        said.append(f"{_counted(found.unreadable_total, 'unreadable row')} left out")
    return "; ".join(said) + "."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _shown_time(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[s]")).replace("T", " ")


def _wrong_width(count: int, layout: Layout) -> str:
    reason = f"it has {_counted(count, 'cell')}, and {layout.width} are expected"
    if count > layout.width and layout.separator == ",":
        reason += "; a number with a comma stands in quotes, or its cells are parted by semicolons"
    return reason
