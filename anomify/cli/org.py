"""`anomify org`: makes and lists orgs."""

from pathlib import Path

import click

from anomify.cli.rooms import unit_of_work
from anomify.cli.settings import data_option, json_option, print_json
from anomify.org.creating import create_org
from anomify.org.model import Org
from anomify.org.queries import list_orgs


@click.group()
def org() -> None:
    """Make and list orgs."""


@org.command()
@click.argument("name")
@data_option
@json_option
def create(name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Make an org named NAME; its first user will be its owner."""
    with unit_of_work(data_dir, write=True):
        made = org_json(create_org(name))
    if as_json:
        print_json(made)
        return
    click.echo(f"Made the org {made['name']} with the id {made['id']}.")


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


def org_json(row: Org) -> dict[str, object]:
    """Tell of an org what a script needs."""
    return {"id": row.id, "name": row.name, "timezone": row.timezone, "demo": row.is_demo}
