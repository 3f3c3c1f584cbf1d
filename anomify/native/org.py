"""/org: the caller's org, and the people in it."""

from anomify.auth.subject import subject
from anomify.edge.contract import Access, Inputs, Outputs
from anomify.edge.house import house
from anomify.native.envelope import NativeDoor
from anomify.org.model import Org
from anomify.user.queries import list_users

door = NativeDoor("org", __name__)


class AlertMutingOut(Outputs):
    """Whether the whole org is being kept quiet."""

    muted: bool = False
    muted_until_timestamp: int | None = None
    muted_until_timestamp_string: str | None = None
    minutes_remaining: int = 0


class ConnectedServicesOut(Outputs):
    """Which chat services know the org."""

    slack: bool = False
    ms_teams: bool = False


class OrgOut(Outputs):
    """An org, as its users see it."""

    id: int
    name: str
    timezone: str
    alert_muting: AlertMutingOut
    onboarding_status_id: int
    connected_services: ConnectedServicesOut


class OwnOrgOut(OrgOut):
    """An org with what only itself needs to know."""

    demo: bool
    created_timestamp: int
    # Null where there is no limit.
    metric_quota: int | None
    # Where senders send to; a key is one of the org's tokens.
    ingest_host: str


class InfoOut(Outputs):
    """The caller's org."""

    org: OwnOrgOut


class MemberOut(Outputs):
    """A user, as others of the org see them."""

    id: int
    name: str
    email: str
    role: str
    admin: bool


class UsersOut(Outputs):
    """Everybody in the org."""

    users: list[MemberOut]
    total: int


@door.route("/org/info", inputs=Inputs, outputs=InfoOut, access=Access.VIEWER)
def info(wish: Inputs) -> InfoOut:
    """Say which org is asking, and what it may have."""
    del wish
    org = subject().org
    return InfoOut(
        org=OwnOrgOut(
            **org_out(org).model_dump(),
            demo=org.is_demo,
            created_timestamp=int(org.created_at.timestamp()),
            metric_quota=org.metric_quota,
            ingest_host=house().settings.base_url,
        )
    )


@door.route("/org/users", inputs=Inputs, outputs=UsersOut, access=Access.VIEWER)
def users(wish: Inputs) -> UsersOut:
    """List who is in the org, by name."""
    del wish
    found = [
        MemberOut(id=user.id, name=user.name, email=user.email, role=user.role, admin=user.is_admin)
        for user in list_users(subject().org)
    ]
    return UsersOut(users=found, total=len(found))


def org_out(org: Org) -> OrgOut:
    """Tell of an org what any of its users may know."""
    return OrgOut(
        id=org.id,
        name=org.name,
        timezone=org.timezone,
        alert_muting=AlertMutingOut(),
        onboarding_status_id=org.onboarding_status_id,
        connected_services=ConnectedServicesOut(),
    )
