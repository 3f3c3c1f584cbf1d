"""`anomify config`: what is set, and whether it can be."""

import click

from anomify.cli.settings import data_option, json_option, print_json, read_settings
from anomify.config import Settings


@click.group()
def config() -> None:
    """Show or check the settings."""


@config.command()
@data_option
@json_option
def show(data_dir: str | None, *, as_json: bool) -> None:
    """Show every setting with its value and description; secrets are masked."""
    values = read_settings(data_dir=data_dir).shown()
    if as_json:
        print_json(values)
        return
    width = max(len(key) for key in values)
    for key, value in values.items():
        shown = "" if value is None else value
        click.echo(f"{key:<{width}}  {shown!s:<24}  {Settings.model_fields[key].description}")


@config.command()
@data_option
@json_option
def check(data_dir: str | None, *, as_json: bool) -> None:
    """Check that the settings are valid; the exit code is 2 if they are not."""
    read_settings(data_dir=data_dir)
    if as_json:
        print_json({"ok": True})
        return
    click.echo("The settings are valid.")
