"""Create the demo org, its user and the token for its data."""

import secrets
from dataclasses import dataclass

from anomify.clock import to_ms
from anomify.org.creating import create_org
from anomify.org.model import Org
from anomify.org.queries import list_orgs
from anomify.org.token import create_token, list_tokens, revoke_token
from anomify.user.creating import create_user
from anomify.user.queries import find_user_by_email

ORG_NAME = "Demo"
EMAIL = "demo@example.com"
USER_NAME = "Demo"
TOKEN_NAME = "demo feed"  # noqa: S105 -- the name of a token, not one
PASSWORD_BYTES = 12


@dataclass(frozen=True)
class CreatedDemo:
    """The demo org's token and start; the password only if the user was just created."""

    founded_ms: int
    token: str
    password: str | None


def create_demo() -> CreatedDemo:
    """Create the demo org and user if missing, and a new token that replaces the last one."""
    org = next((org for org in list_orgs() if org.is_demo), None)
    org = org or create_org(ORG_NAME, is_demo=True)
    password = None
    if find_user_by_email(EMAIL) is None:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        create_user(org, EMAIL, USER_NAME, "owner", password)
    return CreatedDemo(to_ms(org.created_at), _new_token(org), password)


def _new_token(org: Org) -> str:
    for token in list_tokens(org).items:
        if token.name == TOKEN_NAME and token.revoked_at is None:
            revoke_token(org, token.id, TOKEN_NAME)
    _, text = create_token(org, TOKEN_NAME, ["ingest"], created_by=TOKEN_NAME)
    return text
