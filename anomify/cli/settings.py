"""The options shared by all commands, and the settings with them applied."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from anomify import config
from anomify.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """Add the option `--data DIR`."""
    return click.option(
        "--data",
        "data_dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="The data directory of the installation.",
    )(command)


def json_option(command: Command) -> Command:
    """Add the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for use in scripts.")(
        command
    )


def read_settings(**flags: object) -> Settings:
    """Return the settings, overridden by the given flags. Raises ConfigError."""
    return config.load({key: value for key, value in flags.items() if value is not None})


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, default=str))
