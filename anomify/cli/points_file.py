"""A file of points: a table of timestamp and value as programs export it, plain or gzipped."""

import csv
from dataclasses import dataclass
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
from anomify.cli.points_rows import RowsRead, counted, describe_reading
from anomify.cli.reading_options import Choices
from anomify.cli.table_layout import Layout, NoLayout, find_layout
from anomify.cli.table_text import (
    DAMAGE_ERRORS,
    UnreadableFileError,
    is_row,
    named_separator,
    opened_lines,
    refuse_file,
)
from anomify.series import Bools, Float64s, Int64s

SAMPLE_LINES: Final = 200
# The years of a datetime; other times cannot be shown and are refused.
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class FilePoints:
    """The rows of a file in the order of the file; missing values are NaN."""

    lines: Int64s
    times: Int64s
    values: Float64s
    # The timestamps as they are written, if requested.
    stamps: list[str]
    # A sentence on how the file was read and what was left out.
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

    Its columns are found by their headers or their cells; `choices` has what cannot be found.
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


class _Reader:
    """Reads a file: a first pass detects the formats, a second one applies them if needed."""

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
            separator, rest = named_separator(lines)
            sample = [line for line in islice(rest, SAMPLE_LINES) if is_row(line)]
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

    def _pass(self, layout: Layout, decimal: Decimal, *, day_first: bool | None) -> RowsRead:
        found = RowsRead()
        self._series_columns = layout.series_columns()
        with opened_lines(self._path) as lines:
            separator, rest = named_separator(lines)
            skipped = 1 if separator else 0
            reader = csv.reader(rest, delimiter=layout.separator, strict=True)
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
        found: RowsRead,
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
            first = found.series.setdefault(column, cells[column])
            if first != cells[column]:
                refuse_file(
                    self._path,
                    f"holds several series: {layout.column(column)} says {shown(first)} and in line"
                    f" {line} {shown(cells[column])}. Make a file of each",
                )
        found.lines.append(line)
        found.times.append(moment.ms)
        found.values.append(value)
        if self._with_stamps:
            found.stamps.append(stamp)

    def _value(self, found: RowsRead, line: int, text: str, decimal: Decimal) -> float:
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

    def _note(self, found: RowsRead, line: int, moment: ParsedTime) -> None:
        if moment.kind not in found.kinds:
            found.kinds[moment.kind] = line
        if moment.day_first is not None:
            found.day_first.setdefault(moment.day_first, line)
        if moment.is_order_unknown and found.unknown_order is None:
            found.unknown_order = line

    def _decimal_of(self, found: RowsRead, layout: Layout) -> Decimal:
        writings = found.writings
        if Writing.POINT in writings and Writing.COMMA in writings:
            refuse_file(
                self._path,
                f"has decimals after a point (line {writings[Writing.POINT]}) and after a comma"
                f" (line {writings[Writing.COMMA]}); write them all in one way",
            )
        if Writing.POINT in writings:
            return Decimal.POINT
        if Writing.COMMA in writings:
            return Decimal.COMMA
        unclear = writings.get(Writing.EITHER_COMMA)
        if unclear is None and layout.separator != ",":
            # Where cells are separated by commas, points do not separate thousands.
            unclear = writings.get(Writing.EITHER_POINT)
        if unclear is not None:
            refuse_file(
                self._path,
                f"does not tell whether the number in line {unclear} has decimals or thousands:"
                " say --decimal point or --decimal comma",
            )
        return Decimal.POINT

    def _day_first_of(self, found: RowsRead) -> bool | None:
        orders = found.day_first
        if len(orders) > 1:
            refuse_file(
                self._path,
                f"has dates with the day first (line {orders[True]}) and with the month first (line"
                f" {orders[False]}); write them all in one way",
            )
        if found.unknown_order is None:
            return None
        if not orders:
            refuse_file(
                self._path,
                f"does not tell whether the date in line {found.unknown_order} begins with the day"
                " or with the month: write dates as 2026-11-28",
            )
        return next(iter(orders))

    def _points(self, found: RowsRead, layout: Layout, decimal: Decimal) -> FilePoints:
        times = np.frombuffer(found.times, np.int64) if found.times else np.empty(0, np.int64)
        values = np.frombuffer(found.values, np.float64) if found.values else np.empty(0)
        lines = np.frombuffer(found.lines, np.int64) if found.lines else np.empty(0, np.int64)
        self._refuse_mixed_series(lines, times, values, layout)
        return FilePoints(
            lines,
            times,
            values,
            found.stamps,
            f"{self._path}: {describe_reading(found, layout, decimal, times, values)}",
            found.unreadable,
            found.unreadable_total,
        )

    def _refuse_mixed_series(
        self, lines: Int64s, times: Int64s, values: Float64s, layout: Layout
    ) -> None:
        """Refuse rows of one time with different values, where another column may be the series."""
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

    def _refuse_rows(self, found: RowsRead) -> NoReturn:
        total = found.unreadable_total
        rows = "1 row" if total == 1 else f"{total:,} rows"
        of = f"{total + len(found.times):,}"
        listed = "\n".join(f"  {self._path}, {reason}" for reason in found.unreadable)
        more = "\n  ..." if total > len(found.unreadable) else ""
        raise UnreadableFileError(
            f"{rows} of {of} cannot be read, so none of the file is used; correct them, or leave"
            f" them out with --skip-unreadable.\n{listed}{more}"
        )


def _wrong_width(count: int, layout: Layout) -> str:
    reason = f"it has {counted(count, 'cell')}, and {layout.width} are expected"
    if count > layout.width and layout.separator == ",":
        reason += (
            "; a number with a comma stands in quotes, or its cells are separated by semicolons"
        )
    return reason
