"""`anomify token`: makes, lists, rotates and revokes the tokens of machines."""

from datetime import timedelta
from pathlib import Path

import click

from anomify.cli.database import the_org, unit_of_work
from anomify.cli.settings import data_option, json_option, print_json
from anomify.clock import now
from anomify.org.model import Token
from anomify.org.token import (
    SCOPES,
    create_token,
    is_valid,
    list_tokens,
    revoke_token,
    rotate_token,
)

MADE_BY = "command line"
DAYS_MAX = 3650


@click.group()
def token() -> None:
    """Create, list, rotate and revoke tokens."""


@token.command()
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@click.option("--name", required=True, help="A name that says what the token is for.")
@click.option(
    "--scopes",
    required=True,
    help=f"What the token may do, separated by commas:  {', '.join(SCOPES)}.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, DAYS_MAX),
    help="Let the token expire after this many days; by default it does not expire.",
)
@click.option(
    "--networks",
    default="",
    help="The networks from which the token works, separated by commas; by default all.",
)
@click.option(
    "--legacy",
    "is_legacy",
    is_flag=True,
    help="Create a token of 32 hexadecimal digits, for senders that require that.",
)
@data_option
@json_option
def create(
    org_name: str,
    name: str,
    scopes: str,
    expires_days: int | None,
    networks: str,
    data_dir: Path | None,
    *,
    is_legacy: bool,
    as_json: bool,
) -> None:
    """Create a token; its secret is printed only once."""
    expires_at = now() + timedelta(days=expires_days) if expires_days else None
    with unit_of_work(data_dir, write=True):
        row, secret = create_token(
            the_org(org_name),
            name,
            _parted(scopes),
            MADE_BY,
            expires_at=expires_at,
            networks=_parted(networks),
            is_legacy=is_legacy,
        )
        made = token_json(row)
    _show_secret(made, secret, as_json=as_json)


@token.command(name="list")
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@data_option
@json_option
def list_them(org_name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the tokens of an org, without their secrets."""
    with unit_of_work(data_dir, write=False):
        found = [token_json(row) for row in list_tokens(the_org(org_name)).items]
    if as_json:
        print_json(found)
        return
    for row in found:
        state = "revoked" if row["revoked_at"] else "good" if row["works"] else "expired"
        click.echo(f"{row['id']}\t{row['name']}\t{row['public_id']}\t{row['scopes']}\t{state}")


@token.command()
@click.argument("token_id", type=int)
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@data_option
@json_option
def revoke(token_id: int, org_name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Revoke the token with the id TOKEN_ID."""
    with unit_of_work(data_dir, write=True):
        revoked = token_json(revoke_token(the_org(org_name), token_id, MADE_BY))
    if as_json:
        print_json(revoked)
        return
    click.echo(
        f"Revoked the token {revoked['name']}; requests with it are refused within 30 seconds."
    )


@token.command()
@click.argument("token_id", type=int)
@click.option("--org", "org_name", required=True, help="The org, by name or id.")
@data_option
@json_option
def rotate(token_id: int, org_name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Create a token that replaces TOKEN_ID, which works for another 24 hours."""
    with unit_of_work(data_dir, write=True):
        row, secret = rotate_token(the_org(org_name), token_id, MADE_BY)
        made = token_json(row)
    _show_secret(made, secret, as_json=as_json)


def token_json(row: Token) -> dict[str, object]:
    """Return the fields of a token for the JSON output, without the secret."""
    return {
        "id": row.id,
        "org_id": row.org_id,
        "name": row.name,
        "public_id": row.public_id,
        "scopes": row.scopes,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "works": is_valid(row),
        "last_used_at": row.last_used_at,
        "last_used_address": row.last_used_address,
        "networks": row.networks,
        "replaced_by": row.replaced_by_id,
    }


def _show_secret(made: dict[str, object], secret: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**made, "token": secret})
        return
    click.echo(secret)
    click.echo("Store it now; it cannot be shown again.", err=True)


def _parted(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
