"""`anomify worker`: the process that judges points and delivers messages."""

from pathlib import Path

import click

from anomify.cli.failures import use_data_dir
from anomify.cli.listen_address import read_settings_beside_server
from anomify.cli.parent_process import exit_with_parent
from anomify.cli.settings import data_option


@click.command()
@data_option
@click.option("--parent", type=int, hidden=True, help="Exit when the process with this id ends.")
def worker(data_dir: Path | None, parent: int | None) -> None:
    """Start only the worker.

    It judges datapoints and delivers messages. Run `anomify web` beside it.
    """
    if parent is not None:
        exit_with_parent(parent)
    from anomify.worker.loop import run  # noqa: PLC0415 -- the engine takes a second to load

    settings = read_settings_beside_server(data_dir)
    use_data_dir(settings)
    run(settings)
