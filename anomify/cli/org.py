"""`anomify org`: creates, lists, exports and deletes orgs."""

import os
from pathlib import Path

import click

from anomify.audit.recording import record_audit
from anomify.billing.cancel_subscription import cancel_subscriptions
from anomify.billing.stripe_gateway import gateway_of
from anomify.cli.database import opened_database, the_org, unit_of_work
from anomify.cli.settings import data_option, json_option, print_json
from anomify.metric.open_store import open_points
from anomify.org.creating import create_org
from anomify.org.model import Org
from anomify.org.queries import list_orgs
from anomify.org_deletion.delete_org import check_named, delete_org
from anomify.org_deletion.export import export_of, file_name

ACTOR = "command line"
WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
OWNER_ONLY = 0o600


@click.group()
def org() -> None:
    """Create, list, export and delete orgs."""


@org.command()
@click.argument("name")
@data_option
@json_option
def create(name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Create an org named NAME; its first user becomes its owner."""
    with unit_of_work(data_dir, write=True):
        made = org_json(create_org(name))
    if as_json:
        print_json(made)
        return
    click.echo(f"Created the org {made['name']} with the id {made['id']}.")


@org.command(name="list")
@data_option
@json_option
def list_them(data_dir: Path | None, *, as_json: bool) -> None:
    """List every org of this installation."""
    with unit_of_work(data_dir, write=False):
        found = [org_json(row) for row in list_orgs()]
    if as_json:
        print_json(found)
        return
    for row in found:
        click.echo(f"{row['id']}\t{row['name']}")


@org.command()
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default it is named after the org and the day.",
)
@data_option
@json_option
def export(name: str, out: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Write all data of the org NAME to a ZIP file of JSON lines."""
    with opened_database(data_dir) as (settings, database):
        with database.unit_of_work():
            found = the_org(name)
            record_audit(found.id, actor=ACTOR, action="org.export")
        points = open_points(database, settings.data_dir)
        try:
            points.follow()
            path = out or Path(file_name(found.id))
            # The export contains the org's private data.
            with os.fdopen(os.open(path, WRITE_NEW, OWNER_ONLY), "wb") as file:
                for piece in export_of(found.id, database, points):
                    file.write(piece)
        finally:
            points.close()
    if as_json:
        print_json({**org_json(found), "file": str(path), "bytes": path.stat().st_size})
        return
    click.echo(f"Wrote {path} ({path.stat().st_size:,} bytes).")


@org.command()
@click.argument("name")
@click.option("--confirm", required=True, help="The name of the org again, to confirm.")
@data_option
@json_option
def delete(name: str, confirm: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Delete the org NAME with all its data and users, for good."""
    with opened_database(data_dir) as (settings, database):
        with database.unit_of_work(write=False):
            found = the_org(name)
            gone = org_json(found)
        check_named(found, confirm)
        cancel_subscriptions(database, gateway_of(settings), found, actor=ACTOR)
        with database.unit_of_work():
            delete_org(found)
        database.empty_log()
    if as_json:
        print_json(gone)
        return
    click.echo(f"Deleted the org {gone['name']}; its datapoints are deleted within an hour.")


def org_json(row: Org) -> dict[str, object]:
    """Return the fields of an org for the JSON output."""
    return {"id": row.id, "name": row.name, "timezone": row.timezone, "demo": row.is_demo}
