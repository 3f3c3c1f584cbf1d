"""/org/audit: who changed what in the org."""

from datetime import datetime

from pydantic import Field, JsonValue

from anomify.audit.model import ACTION_CHARACTERS_MAX, AuditEntry
from anomify.audit.queries import list_audit
from anomify.auth.subject import subject
from anomify.clock import datetime_from_timestamp, to_timestamp
from anomify.edge.access import ADMIN
from anomify.edge.contract import Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.window import PageIn, WindowIn

blueprint = NativeBlueprint("org_audit", __name__)


class AuditIn(WindowIn, PageIn):
    """Which part of the trail is wanted."""

    action: str = Field(
        "",
        max_length=ACTION_CHARACTERS_MAX,
        description="One action, or the first word of several; all of them when left out.",
        examples=["token.create", "user"],
        json_schema_extra=names(None),
    )


class EntryOut(Outputs):
    """One change."""

    id: int = Field(description="Its id.")
    timestamp: int = Field(description="When, unix seconds.")
    actor: str = Field(description="Who did it, as they were called then.")
    address: str | None = Field(
        description="The address of the request; null for changes without a request."
    )
    action: str = Field(description="What was done, as dotted words.")
    target: str | None = Field(description="What was changed.")
    before: dict[str, JsonValue] | None = Field(description="The changed values before.")
    after: dict[str, JsonValue] | None = Field(description="How it is since.")


class AuditOut(Outputs):
    """A part of the trail."""

    entries: list[EntryOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are in all.")


@blueprint.route("/org/audit", inputs=AuditIn, outputs=AuditOut, access=ADMIN)
def audit(inputs: AuditIn) -> AuditOut:
    """List who changed what in the org, the latest first."""
    page = list_audit(
        subject().org.id,
        action=inputs.action or None,
        from_at=_moment(inputs.from_timestamp),
        until_at=_moment(inputs.until_timestamp),
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return AuditOut(entries=[entry_json(entry) for entry in page.items], total=page.total)


def entry_json(entry: AuditEntry) -> EntryOut:
    """Return a change as the API describes it."""
    return EntryOut(
        id=entry.id,
        timestamp=to_timestamp(entry.recorded_at),
        actor=entry.actor,
        address=entry.address or None,
        action=entry.action,
        target=entry.target or None,
        before=entry.before,
        after=entry.after,
    )


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime_from_timestamp(timestamp)
