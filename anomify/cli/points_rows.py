"""The rows that one pass over a file of points has read, and a sentence about them."""

from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from anomify.cli.cells import UNIX_KINDS, Decimal, Writing
from anomify.cli.table_layout import SEPARATORS, Layout
from anomify.clock import to_ms
from anomify.series import Float64s, Int64s

SHOWN_UNREADABLE: Final = 5
_EPOCH_SUSPECT_MS: Final = to_ms(datetime(1980, 1, 1, tzinfo=UTC))


@dataclass(slots=True)
class RowsRead:
    """The rows of one pass over a file, and how they are written."""

    lines: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    stamps: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unreadable_total: int = 0
    # The first line of each format of a number or a time.
    writings: dict[Writing, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    day_first: dict[bool, int] = field(default_factory=dict)
    unknown_order: int | None = None
    # The value of each column that identifies the series of a row.
    series: dict[int, str] = field(default_factory=dict)

    def leave_out(self, line: int, reason: str) -> None:
        """Count a row that cannot be read, and keep the reason of the first few."""
        self.unreadable_total += 1
        if len(self.unreadable) < SHOWN_UNREADABLE:
            self.unreadable.append(f"line {line}: {reason}")


def describe_reading(
    found: RowsRead, layout: Layout, decimal: Decimal, times: Int64s, values: Float64s
) -> str:
    """Return a sentence on how a file was read."""
    where = layout.column(layout.time)
    if layout.clock is not None:
        where += f" and {layout.column(layout.clock)}"
    clauses = [
        f"read {counted(len(times), 'row')}: the time is in {where}"
        + (f" as {' and '.join(found.kinds)}" if found.kinds else "")
        + f", the value in {layout.column(layout.value)}"
    ]
    if decimal is Decimal.COMMA:
        clauses.append("with a decimal comma")
    elif Writing.EITHER_POINT in found.writings and Writing.POINT not in found.writings:
        clauses.append("numbers such as 1.234 are taken to have decimals")
    if layout.separator != ",":
        clauses.append(f"cells are separated by {SEPARATORS[layout.separator]}")
    if others := layout.others():
        names = ", ".join(layout.column(column) for column in others[:4])
        clauses.append(f"{names}{' and more' if len(others) > 4 else ''} not read")  # noqa: PLR2004 -- enough
    if len(times):
        clauses.append(
            f"from {_shown_time(int(times.min()))} to {_shown_time(int(times.max()))} UTC"
        )
        steps = np.diff(times)
        if (steps < 0).any():
            newest = (steps <= 0).all()
            clauses.append("newest row first" if newest else "not in the order of their times")
        if repeated := int(np.count_nonzero(np.diff(np.sort(times)) == 0)):
            clauses.append(
                f"{counted(repeated, 'row')} with the time of another, of which the last counts"
            )
        if int(times.min()) < _EPOCH_SUSPECT_MS and found.kinds.keys() & UNIX_KINDS:
            clauses.append("some before 1980, so check that these are unix timestamps")
    missing = int(np.count_nonzero(np.isnan(values)))
    clauses.append(f"{counted(missing, 'row')} without a value left out")
    if found.unreadable_total:
        clauses.append(f"{counted(found.unreadable_total, 'unreadable row')} left out")
    return "; ".join(clauses) + "."


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which is in the plural unless the number is 1."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _shown_time(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[s]")).replace("T", " ")
