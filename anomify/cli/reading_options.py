"""The options of every command that reads a file of points: what the file does not say itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from anomify.cli.cells import Decimal


@dataclass(frozen=True, slots=True)
class Choices:
    """What somebody says of a file that it does not say itself."""

    time_column: str | None = None
    value_column: str | None = None
    decimal: Decimal | None = None
    skip_unreadable: bool = False


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a file is read; `choices_of` takes them."""
    for option in (
        click.option(
            "--skip-unreadable",
            is_flag=True,
            help="Leave out rows that cannot be read instead of stopping; the exit code is 1 then.",
        ),
        click.option(
            "--decimal",
            type=click.Choice([decimal.value for decimal in Decimal]),
            help="What parts decimals, where the file does not tell: 1.234 or 1,234.",
        ),
        click.option("--value-column", help="The column of the values: its header or its number."),
        click.option("--time-column", help="The column of the times: its header or its number."),
    ):
        command = option(command)
    return command


def choices_of(
    *, time_column: str | None, value_column: str | None, decimal: str | None, skip_unreadable: bool
) -> Choices:
    """Return what the options of `reading_options` say."""
    chosen = None if decimal is None else Decimal(decimal)
    return Choices(time_column, value_column, chosen, skip_unreadable)
