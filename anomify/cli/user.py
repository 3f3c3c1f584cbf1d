"""`anomify user`: makes and lists users, and lets them in again."""

import sys
from pathlib import Path

import click

from anomify.audit.recording import record_audit
from anomify.cli.database import the_org, unit_of_work
from anomify.cli.listen_address import read_settings_beside_server
from anomify.cli.settings import data_option, json_option, print_json
from anomify.errors import Invalid, NotFound
from anomify.user.authenticator import turn_off
from anomify.user.creating import FIRST_ROLE, ROLES, create_user, fold_email
from anomify.user.invitation import Inviter, invite
from anomify.user.model import User
from anomify.user.queries import find_user_by_email, list_users
from anomify.user.recovery import make_reset_link
from anomify.user.session import end_user_sessions

LEAST_ROLE = "viewer"
# The actor in the audit trail for what these commands do.
ACTOR = "anomify user"


@click.group()
def user() -> None:
    """Create and list users, and restore their access."""


@user.command()
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@click.option("--email", required=True, help="The address to sign in with.")
@click.option("--name", required=True, help="The name shown to other users.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=LEAST_ROLE,
    show_default=True,
    help="What the user may do; the first user of an org is always its owner.",
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
    """Create a user."""
    password = _password(is_piped=is_password_piped)
    with unit_of_work(data_dir, write=True):
        row = create_user(the_org(org_name), email, name, role, password)
        record_audit(
            row.org_id,
            actor=ACTOR,
            action="user.create",
            target=row.email,
            after={"role": row.role},
        )
        made = user_json(row)
    if as_json:
        print_json(made)
        return
    click.echo(f"Created the user {made['email']}, {made['role']} of the org {made['org_id']}.")


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


@user.command(name="invite")
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@click.option(
    "--email",
    required=True,
    help="The address of the invited person; the link is mailed there if mail is configured.",
)
@click.option("--name", default="", help="The name of the invited person, who may change it.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default=LEAST_ROLE,
    show_default=True,
    help="What the user may do after accepting.",
)
@data_option
def invite_user(org_name: str, email: str, name: str, role: str, data_dir: Path | None) -> None:
    """Invite a user and print the link; it works once, for 72 hours."""
    settings = read_settings_beside_server(data_dir)
    by = Inviter(ACTOR, FIRST_ROLE, settings.printed_url)
    with unit_of_work(data_dir, write=True):
        _, link = invite(the_org(org_name), email, name, role, by)
    click.echo(link)


@user.command(name="reset-link")
@click.option("--email", required=True, help="The address of the user.")
@data_option
def reset_link(email: str, data_dir: Path | None) -> None:
    """Print a link for setting a new password; it works once, for 30 minutes."""
    settings = read_settings_beside_server(data_dir)
    with unit_of_work(data_dir, write=True):
        found = _the_user(email)
        link = make_reset_link(found, settings.printed_url)
        record_audit(found.org_id, actor=ACTOR, action="user.reset_link", target=found.email)
    click.echo(link)


@user.command(name="reset-2fa")
@click.option("--email", required=True, help="The address of the user.")
@data_option
def reset_second_factor(email: str, data_dir: Path | None) -> None:
    """Turn off the authenticator app of a user who has lost it and the recovery codes."""
    with unit_of_work(data_dir, write=True):
        found = _the_user(email)
        was_on = found.has_totp
        turn_off(found, by=ACTOR)
        end_user_sessions(found)
    if was_on:
        click.echo(
            f"{found.email} now signs in without an authenticator app and may set up a new one."
        )
    else:
        click.echo(f"{found.email} has no authenticator app.")


def _the_user(email: str) -> User:
    found = find_user_by_email(fold_email(email))
    if found is None:
        raise NotFound(f"There is no user {email}; `anomify user list --org ...` shows them.")
    return found


def user_json(row: User) -> dict[str, object]:
    """Return the fields of a user for the JSON output."""
    return {
        "id": row.id,
        "org_id": row.org_id,
        "email": row.email,
        "name": row.name,
        "role": row.role,
    }


def _password(*, is_piped: bool) -> str:
    if is_piped:
        # A line break at the end is not part of the password.
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Invalid(
            "Cannot ask for a password without a terminal; pipe it and add --password-stdin."
        )
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
