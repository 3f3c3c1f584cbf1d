"""The options of the commands that read a file of datapoints."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from anomify.cli.cells import Decimal


@dataclass(frozen=True, slots=True)
class Choices:
    """How a file is to be read, where the file itself is unclear."""

    time_column: str | None = None
    value_column: str | None = None
    decimal: Decimal | None = None
    skip_unreadable: bool = False


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for reading a file; pass their values to `choices_of`."""
    for option in (
        click.option(
            "--skip-unreadable",
            is_flag=True,
            help="Leave out rows that cannot be read instead of stopping; the exit code is then 1.",
        ),
        click.option(
            "--decimal",
            type=click.Choice([decimal.value for decimal in Decimal]),
            help="The decimal separator, where the file leaves it unclear: 1.234 or 1,234.",
        ),
        click.option("--value-column", help="The column of the values, by header or number."),
        click.option("--time-column", help="The column of the times, by header or number."),
    ):
        command = option(command)
    return command


def choices_of(
    *, time_column: str | None, value_column: str | None, decimal: str | None, skip_unreadable: bool
) -> Choices:
    """Return the values of the options of `reading_options`."""
    chosen = None if decimal is None else Decimal(decimal)
    return Choices(time_column, value_column, chosen, skip_unreadable)
