"""`anomify web`: the process that answers requests."""

import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from anomify.cli.failures import failure_in_words, use_data_dir
from anomify.cli.listen_address import keep_listen_address
from anomify.cli.parent_process import exit_with_parent
from anomify.cli.settings import data_option, read_settings
from anomify.config import Settings
from anomify.errors import AnomifyError

# Requests that were under way when we were asked to stop may take so long to finish.
STOP_SECONDS = 25
# Connections that wait for a thread, per thread; the ones after them wait in the kernel's queue.
WAITING_PER_THREAD = 4


@click.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on.")
@data_option
@click.option("--parent", type=int, hidden=True, help="Exit when the process with this id ends.")
def web(host: str | None, port: int | None, data_dir: Path | None, parent: int | None) -> None:
    """Start only the web server.

    Run `anomify worker` beside it.
    """
    if parent is not None:
        exit_with_parent(parent)
    settings = read_settings(host=host, port=port, data_dir=data_dir)
    use_data_dir(settings)
    keep_listen_address(settings)
    Server(
        target="anomify.factory",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=1,
        # The tail of fresh points is in one process's memory; threads share it.
        blocking_threads=settings.web_threads,
        backpressure=settings.web_threads * WAITING_PER_THREAD,
        workers_kill_timeout=STOP_SECONDS,
        # No access log: its lines would hold query strings, and with them session ids and keys.
        log_access=False,
        # Its warnings speak of threads to people who did not choose the number.
        log_level=LogLevels.error,
        process_name=None,
    ).serve(target_loader=partial(load_app, settings), wrap_loader=False)


def load_app(settings: Settings) -> Callable[..., Any]:
    """Create the application, in the child process that runs it."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        exit_with_parent(parent.pid)
    # The parent must stay light.
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 -- see above

    from anomify.factory import create_app  # noqa: PLC0415 -- see above

    try:
        app: Callable[..., Any] = create_app(settings)
    except (AnomifyError, OSError, SQLAlchemyError) as error:
        reason = error.message if isinstance(error, AnomifyError) else failure_in_words(error)
        click.echo(f"anomify: {reason}", err=True)
        raise SystemExit(1) from None
    return app
