"""`anomify feed`: the process of `anomify demo` that makes the org and keeps points coming."""

import json
import signal
import threading
from pathlib import Path

import click

from anomify.cli.database import unit_of_work
from anomify.cli.parent_process import exit_with_parent
from anomify.cli.settings import data_option, read_settings
from anomify.demo.create_demo import EMAIL, create_demo
from anomify.demo.feed import STATE_FILE, Feed
from anomify.demo.scenario import Scenario, ScenarioIncident


@click.command(hidden=True)
@data_option
@click.option("--parent", type=int, hidden=True, help="Exit when the process with this id ends.")
def feed(data_dir: Path | None, parent: int | None) -> None:
    """Create the demo's org and send its datapoints until a signal arrives."""
    if parent is not None:
        exit_with_parent(parent)
    settings = read_settings(data_dir=data_dir)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with unit_of_work(data_dir, write=True):
        founded = create_demo()
    if founded.password is not None:
        click.echo(f"Sign in with {EMAIL} and the password {founded.password}")
    else:
        click.echo(f"Sign in with {EMAIL} and the password that was printed at the first start.")
    world = Scenario.founded_at(founded.founded_ms)
    Feed(settings.local_url, founded.token, world, settings.data_dir, stopping).run()


def past_incidents(data_dir: Path, until_ms: int) -> list[ScenarioIncident]:
    """Return the incidents of the demo in this data directory; an empty list without a demo."""
    try:
        kept = json.loads((data_dir / STATE_FILE).read_text())
    except FileNotFoundError:
        return []
    return Scenario(int(kept["start_ms"])).incidents(until_ms)
