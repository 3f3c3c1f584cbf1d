"""`anomify demo`: the product with something in it."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from anomify.cli.settings import data_option, json_option, print_json, read_settings
from anomify.cli.up import run
from anomify.clock import datetime_from_ms, now_ms


@click.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on.")
@click.option("--incidents", is_flag=True, help="Only list the incidents in the demo's data.")
@data_option
@json_option
def demo(
    host: str | None, port: int | None, data_dir: Path | None, *, incidents: bool, as_json: bool
) -> None:
    """Start the web server and the worker with a demo org and this machine's metrics.

    The org has 48 metrics with 30 days of data that contain incidents, judged as if the data had
    just arrived, and new data is added while the command runs. The password is printed once, at
    the first start.
    """
    settings = read_settings(host=host, port=port, data_dir=data_dir)
    if not incidents:
        sys.exit(run(settings, companion="feed"))
    from anomify.cli.feed import past_incidents  # noqa: PLC0415 -- the supervisor stays light

    found = past_incidents(settings.data_dir, now_ms())
    if as_json:
        print_json([asdict(incident) for incident in found])
        return
    for incident in found:
        began = datetime_from_ms(incident.from_ms)
        click.echo(f"{began:%Y-%m-%d %H:%M}  {incident.metric}: {incident.description}")
