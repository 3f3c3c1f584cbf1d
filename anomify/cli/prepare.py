"""`anomify prepare`: what `anomify up` does before it starts, in a process of its own."""

from pathlib import Path

import click

from anomify.cli.db import bring_to_head
from anomify.cli.settings import data_option, print_json, read_settings
from anomify.db import Database
from anomify.metric.mixed import refuse_mixed
from anomify.metric.open_store import open_points
from anomify.org.onboarding import create_setup_link
from anomify.user.queries import needs_setup


@click.command(hidden=True)
@data_option
def prepare(data_dir: Path | None) -> None:
    """Migrate the database; print a set-up link as JSON while there are no users."""
    settings = read_settings(data_dir=data_dir)
    settings.with_secret_key()
    bring_to_head(settings)
    database = Database(settings.meta_url)
    try:
        points = open_points(database, settings.data_dir)
        refuse_mixed(database, points)
        points.close()
        with database.unit_of_work():
            secret = create_setup_link() if needs_setup() else None
    finally:
        database.dispose()
    print_json({"setup_secret": secret})
