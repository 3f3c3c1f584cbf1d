"""Find the time and value columns of a table, by their headers or their cells."""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from anomify.cli.cells import is_clock, is_date, is_missing, is_moment, shown, writing_of

SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
TIME_WORDS: Final = (
    *("_time", "timestamp", "@timestamp", "time", "datetime", "date_time", "date time", "date"),
    *("ts", "epoch", "unixtime", "unix_time", "unix time", "timestamp_ms", "timestamp_s", "when"),
    *("zeitstempel", "zeit", "datum", "t"),
)
VALUE_WORDS: Final = ("_value", "value", "values", "val", "reading", "wert", "y", "v")
# InfluxDB's columns other than time, value and tags.
BOOKKEEPING: Final = frozenset({"", "result", "table", "_start", "_stop"})
# Headers of columns that identify the series of a row.
SERIES_WORDS: Final = frozenset({"table", "_field", "_measurement", "series", "metric"})
# The share of cells that must be times or numbers for a column to count as one of them.
MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table and their separator."""

    separator: str
    # The number of cells of a row; further cells must be empty.
    width: int
    # The cells of the header's row, if there is one.
    header: tuple[str, ...] | None
    time: int
    value: int
    # The column of the time of day, where `time` holds only the date.
    clock: int | None = None

    def column(self, index: int) -> str:
        """Return the name of a column for messages."""
        name = self.header[index].strip() if self.header else ""
        return f"column {index + 1} ({name})" if name else f"column {index + 1}"

    def others(self) -> list[int]:
        """Return the columns that are not read."""
        return [
            index
            for index in range(self.width)
            if index not in {self.time, self.value, self.clock} and not self._is_bookkeeping(index)
        ]

    def series_columns(self) -> list[int]:
        """Return the columns that identify the series of a row."""
        header = self.header or ()
        return [index for index, name in enumerate(header) if _word(name) in SERIES_WORDS]

    def _is_bookkeeping(self, index: int) -> bool:
        return self.header is not None and _word(self.header[index]) in BOOKKEEPING


@dataclass(frozen=True, slots=True)
class NoLayout:
    """Why the columns cannot be found; of several, the one with the highest rank is shown."""

    reason: str
    rank: int


def find_layout(
    lines: Sequence[str],
    separator: str | None,
    time_column: str | None = None,
    value_column: str | None = None,
) -> Layout | NoLayout:
    """Find the columns from the first lines of a table.

    `separator` is the one that the file names itself, if any. Columns may be given by header or
    number.
    """
    found: Layout | NoLayout = NoLayout("it holds no rows of timestamp and value", 0)
    for one in [separator] if separator else SEPARATORS:
        rows = _rows(lines, one)
        layout = _layout(rows, one, time_column, value_column)
        if isinstance(layout, Layout):
            return layout
        if isinstance(found, NoLayout) and layout.rank > found.rank:
            found = layout
    return found


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        rows = [cells for cells in csv.reader(lines, delimiter=separator) if cells]
    except csv.Error:
        return []
    return [[cell.strip() for cell in cells] for cells in rows]


def _layout(
    rows: list[list[str]], separator: str, time_column: str | None, value_column: str | None
) -> Layout | NoLayout:
    if not rows:
        return NoLayout("it holds no rows of timestamp and value", 0)
    header = tuple(rows[0]) if _is_header(rows[0]) else None
    body = rows[1:] if header else rows
    width = len(header) if header else Counter(map(len, body)).most_common(1)[0][0]
    if width < 2:  # noqa: PLR2004 -- a time and a value
        return NoLayout("its rows have one cell; a time and a value are needed", 1)
    body = [cells for cells in body if len(cells) >= width]
    named = header or ()

    def share(column: int, test: Callable[[str], bool]) -> float:
        cells = [cells[column] for cells in body if not is_missing(cells[column])]
        return sum(map(test, cells)) / len(cells) if cells else 0.0

    time = _chosen(time_column, named, width)
    if time is None:
        time = _time_column(named, width, body, share)
    if isinstance(time, NoLayout):
        return time
    clock = _clock_column(time, width, share)
    value = _chosen(value_column, named, width)
    if value is None:
        value = _value_column(named, width, body, share, {time, clock})
    if isinstance(value, NoLayout):
        return value
    if value == time:
        return NoLayout("the time and the value cannot be the same column", 5)
    return Layout(separator, width, header, time, value, clock)


def _is_header(cells: list[str]) -> bool:
    words = {_word(cell) for cell in cells}
    if words & {*TIME_WORDS, *VALUE_WORDS}:
        return True
    filled = [cell for cell in cells if not is_missing(cell)]
    return bool(filled) and not any(
        writing_of(cell) is not None or is_moment(cell) or is_clock(cell) for cell in filled
    )


def _chosen(wanted: str | None, header: tuple[str, ...], width: int) -> int | NoLayout | None:
    """Return the column that the caller named."""
    if wanted is None:
        return None
    named = [index for index, name in enumerate(header) if name == wanted]
    named = named or [index for index, name in enumerate(header) if _word(name) == _word(wanted)]
    if len(named) == 1:
        return named[0]
    if not named and wanted.isdecimal() and wanted.isascii() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    how_many = f"{len(named)} columns are" if named else "no column is"
    return NoLayout(f"{how_many} called {shown(wanted)}; give its number, from 1 on", 5)


def _time_column(
    header: tuple[str, ...],
    width: int,
    body: list[list[str]],
    share: Callable[[int, Callable[[str], bool]], float],
) -> int | NoLayout:
    named = _by_words(header, TIME_WORDS)
    for column in named:
        if not body or share(column, is_moment) >= MOSTLY:
            return column
    moments = [column for column in range(width) if share(column, is_moment) >= MOSTLY]
    # A number of nine digits may be a value as well: times only grow, or only fall.
    if len(moments) > 1:
        ordered = [column for column in moments if _is_ordered([row[column] for row in body])]
        moments = ordered or moments
    if moments:
        return moments[0]
    # Small numbers are seconds where they are called a time, or come first.
    for column in [*named, 0]:
        if share(column, lambda cell: cell.replace(".", "", 1).isdecimal()) >= MOSTLY:
            return column
    if named:
        return named[0]
    return NoLayout("no column of it holds timestamps; --time-column names one", 2)


def _clock_column(
    time: int, width: int, share: Callable[[int, Callable[[str], bool]], float]
) -> int | None:
    if share(time, is_date) < MOSTLY:
        return None
    clocks = [column for column in range(width) if share(column, is_clock) >= MOSTLY]
    return clocks[0] if len(clocks) == 1 else None


def _value_column(
    header: tuple[str, ...],
    width: int,
    body: list[list[str]],
    share: Callable[[int, Callable[[str], bool]], float],
    taken: set[int | None],
) -> int | NoLayout:
    named = [column for column in _by_words(header, VALUE_WORDS) if column not in taken]
    if len(named) > 1 and _word(header[named[0]]) == _word(header[named[1]]):
        return NoLayout(f"two columns are called {shown(header[named[0]])}; keep one of them", 5)
    if named:
        return named[0]
    free = [column for column in range(width) if column not in taken]
    if header and len(free) == 1:
        return free[0]
    free = [c for c in free if not (header and _word(header[c]) in BOOKKEEPING)]
    numbers = [c for c in free if share(c, lambda cell: writing_of(cell) is not None) >= MOSTLY]
    if not numbers:
        # A column that is empty so far is one of values that are missing.
        numbers = [c for c in free if body and all(is_missing(cells[c]) for cells in body)]
    if len(numbers) == 1:
        return numbers[0]
    if not numbers:
        return NoLayout(
            "no column of it holds numbers beside the time; --value-column names one", 3
        )
    names = ", ".join(
        f"{column + 1} ({header[column]})" if header else str(column + 1) for column in numbers[:8]
    )
    return NoLayout(
        f"its columns {names} all hold numbers; name the one to read with --value-column. If a"
        " number was cut at its comma, write it in quotes or part the cells by semicolons",
        4,
    )


def _by_words(header: tuple[str, ...], words: Sequence[str]) -> list[int]:
    """Return the columns whose header is one of the words, in the order of the words."""
    spelled = [_word(name) for name in header]
    return [column for word in words for column, name in enumerate(spelled) if name == word]


def _word(name: str) -> str:
    """Return a header as it is compared: without case and without a unit in brackets."""
    word = name.strip().strip('"').casefold()
    for opening in "([":
        word = word.split(opening)[0]
    return word.strip()


def _is_ordered(cells: list[str]) -> bool:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return True
    return numbers == sorted(numbers) or numbers == sorted(numbers, reverse=True)
