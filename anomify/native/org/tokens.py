"""/org/tokens: the keys of the org's machines."""

from datetime import datetime

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import datetime_from_timestamp, to_timestamp
from anomify.edge.access import ADMIN
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Line, RowId
from anomify.native.window import MOST_TIMESTAMP, PageIn
from anomify.org.model import Token
from anomify.org.token import (
    SCOPES,
    create_token,
    is_legacy,
    is_valid,
    list_tokens,
    revoke_token,
    rotate_token,
)

blueprint = NativeBlueprint("org_token", __name__)


class CreateIn(Inputs):
    """What a new token is to be."""

    name: Line = Field(
        description="What the token is for, to recognize it in lists.",
        examples=["prometheus"],
        json_schema_extra=names(None),
    )
    scopes: list[str] = Field(
        description=f"What it may do, some of {', '.join(SCOPES)}; no more than you may yourself.",
        examples=[["ingest"]],
    )
    expires_timestamp: int | None = Field(
        None,
        ge=0,
        le=MOST_TIMESTAMP,
        description="When it expires, unix seconds; never when left out.",
    )
    networks: list[str] = Field(
        [],
        description="The only networks from which it is valid; all when left out.",
        examples=[["192.0.2.0/24"]],
    )
    legacy: bool = Field(
        default=False,
        description="Make it 32 hexadecimal digits, for senders that require this form.",
    )


class TokenIn(Inputs):
    """Which token."""

    token_id: RowId = Field(description="The id of the token.", json_schema_extra=names("token"))


class TokenOut(Outputs):
    """A token, without its secret."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What it is for.")
    public_id: str = Field(description="The part of it that is no secret, as logs show it.")
    scopes: list[str] = Field(description="What it may do.")
    networks: list[str] = Field(
        description="The only networks from which it is valid; empty for all."
    )
    legacy: bool = Field(description="Whether it is 32 hexadecimal digits.")
    works: bool = Field(description="Whether it is neither revoked nor expired.")
    created_by: str = Field(description="Who made it.")
    created_timestamp: int = Field(description="When, unix seconds.")
    expires_timestamp: int | None = Field(description="When it expires; null for never.")
    revoked_timestamp: int | None = Field(description="When it was revoked, if it was.")
    last_used_timestamp: int | None = Field(description="About when it was last used, if it was.")
    last_used_address: str | None = Field(description="From which address.")
    replaced_by: int | None = Field(description="The id of the token that took its place, if any.")


class TokensOut(Outputs):
    """Tokens of the org."""

    tokens: list[TokenOut] = Field(description="Newest first, with revoked and expired ones.")
    total: int = Field(description="How many there are in all.")


class OneTokenOut(Outputs):
    """One token."""

    token: TokenOut = Field(description="The token as it is now.")


class SecretOut(OneTokenOut):
    """A new token with its secret."""

    secret: str = Field(
        description="What to send as X-Auth-Token. It is shown now and never again."
    )


@blueprint.route("/org/tokens", inputs=PageIn, outputs=TokensOut, access=ADMIN)
def tokens(inputs: PageIn) -> TokensOut:
    """List the org's tokens, newest first, without their secrets."""
    page = list_tokens(subject().org, limit=inputs.limit, offset=inputs.offset)
    return TokensOut(tokens=[token_json(row) for row in page.items], total=page.total)


@blueprint.route(
    "/org/tokens/create", inputs=CreateIn, outputs=SecretOut, access=ADMIN, changes=True
)
def create(inputs: CreateIn) -> SecretOut:
    """Make a token; its secret is shown in this reply and never again."""
    expires = inputs.expires_timestamp
    row, text = create_token(
        subject().org,
        inputs.name,
        inputs.scopes,
        subject().label,
        expires_at=None if expires is None else datetime_from_timestamp(expires),
        networks=inputs.networks,
        grantable=subject().grantable,
        is_legacy=inputs.legacy,
    )
    return SecretOut(token=token_json(row), secret=text)


@blueprint.route(
    "/org/tokens/rotate",
    inputs=TokenIn,
    outputs=SecretOut,
    access=ADMIN,
    changes=True,
    errors=(409,),
)
def rotate(inputs: TokenIn) -> SecretOut:
    """Make a token in the place of another, which goes on working for 24 hours."""
    row, text = rotate_token(
        subject().org, inputs.token_id, subject().label, grantable=subject().grantable
    )
    return SecretOut(token=token_json(row), secret=text)


@blueprint.route(
    "/org/tokens/revoke", inputs=TokenIn, outputs=OneTokenOut, access=ADMIN, changes=True
)
def revoke(inputs: TokenIn) -> OneTokenOut:
    """Revoke a token; senders are refused within half a minute."""
    return OneTokenOut(
        token=token_json(revoke_token(subject().org, inputs.token_id, subject().label))
    )


def token_json(row: Token) -> TokenOut:
    """Return a token as JSON, without its secret part."""
    return TokenOut(
        id=row.id,
        name=row.name,
        public_id=row.public_id,
        scopes=row.scopes.split(","),
        networks=row.networks.split(",") if row.networks else [],
        legacy=is_legacy(row),
        works=is_valid(row),
        created_by=row.created_by,
        created_timestamp=to_timestamp(row.created_at),
        expires_timestamp=_timestamp(row.expires_at),
        revoked_timestamp=_timestamp(row.revoked_at),
        last_used_timestamp=_timestamp(row.last_used_at),
        last_used_address=row.last_used_address or None,
        replaced_by=row.replaced_by_id,
    )


def _timestamp(moment: datetime | None) -> int | None:
    return None if moment is None else to_timestamp(moment)
