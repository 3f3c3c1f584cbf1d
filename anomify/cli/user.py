"""`anomify user`: makes and lists users."""

import sys
from pathlib import Path

import click

from anomify.cli.rooms import the_org, unit_of_work
from anomify.cli.settings import data_option, json_option, print_json
from anomify.errors import Invalid
from anomify.user.creating import ROLES, create_user
from anomify.user.model import User
from anomify.user.queries import list_users

LEAST_ROLE = "viewer"


@click.group()
def user() -> None:
    """Make and list users."""


@user.command()
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@click.option("--email", required=True, help="The address to sign in with.")
@click.option("--name", required=True, help="How others see the user.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=LEAST_ROLE,
    show_default=True,
    help="What the user may do; the first user of an org is its owner whatever is said here.",
)
@click.option(
    "--password-stdin",
    "is_password_piped",
    is_flag=True,
    help="Read the password from standard input instead of asking for it.",
)
@data_option
@json_option
def create(
    org_name: str,
    email: str,
    name: str,
    role: str,
    data_dir: Path | None,
    *,
    is_password_piped: bool,
    as_json: bool,
) -> None:
    """Make a user who can sign in."""
    password = _password(is_piped=is_password_piped)
    with unit_of_work(data_dir, write=True):
        made = user_json(create_user(the_org(org_name), email, name, role, password))
    if as_json:
        print_json(made)
        return
    click.echo(f"Made the user {made['email']}, {made['role']} of the org {made['org_id']}.")


@user.command(name="list")
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@data_option
@json_option
def list_them(org_name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the users of an org."""
    with unit_of_work(data_dir, write=False):
        found = [user_json(row) for row in list_users(the_org(org_name))]
    if as_json:
        print_json(found)
        return
    for row in found:
        click.echo(f"{row['id']}\t{row['email']}\t{row['role']}\t{row['name']}")


def user_json(row: User) -> dict[str, object]:
    """Tell of a user what a script needs."""
    return {
        "id": row.id,
        "org_id": row.org_id,
        "email": row.email,
        "name": row.name,
        "role": row.role,
    }


def _password(*, is_piped: bool) -> str:
    if is_piped:
        # What echo and editors put at the end is not part of it.
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid("Nobody can be asked for a password here; pipe it and say --password-stdin.")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
