"""The options that commands share, and the settings they lead to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from anomify import config
from anomify.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """Add `--data DIR`: which installation is meant."""
    return click.option(
        "--data",
        "data_dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="The data directory of the installation that is meant.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`: answer for a script."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for a script.")(
        command
    )


def read_settings(**flags: object) -> Settings:
    """Return the settings with the flags that were given on top. Raises ConfigError."""
    return config.load({key: value for key, value in flags.items() if value is not None})


def print_json(value: object) -> None:
    """Print a value the way a script can read it."""
    click.echo(json.dumps(value, indent=2, default=str))
