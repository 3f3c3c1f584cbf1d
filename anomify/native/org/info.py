"""/org: the caller's org, and the people in it."""

from typing import Final

from pydantic import Field

from anomify.auth.subject import subject
from anomify.billing.account import plan_in_force
from anomify.billing.debt import debt_of, sentence_about
from anomify.billing.queries import find_account
from anomify.clock import now, to_ms, to_timestamp
from anomify.contact_point.queries import kinds_of
from anomify.edge.access import ADMIN, VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.edge.transaction import transaction
from anomify.metric.quota import quota_of
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Line
from anomify.native.window import local_string
from anomify.org.editing import change_org
from anomify.org.model import ONBOARDING_NAMES, Org
from anomify.org.muting import MINUTES_MAX, is_muted, minutes_left, mute_org
from anomify.org.token import beginning_of, is_valid, list_tokens
from anomify.pattern.learning_switch import set_learning

blueprint = NativeBlueprint("org", __name__)

# The most tokens in the reply; /org/tokens lists all.
KEYS_MAX: Final = 100


class AlertMutingOut(Outputs):
    """Whether notifications of the whole org are muted."""

    muted: bool = Field(description="No notifications are sent at the moment.")
    muted_until_timestamp: int | None = Field(description="Until when, unix seconds; or null.")
    muted_until_timestamp_string: str | None = Field(description="The same in the org's time.")
    minutes_remaining: int = Field(description="How many minutes that is; 0 when not muted.")


class OnboardingStatusOut(Outputs):
    """How far an org has come."""

    id: int = Field(description="1, 100, 200 or 300.", examples=[300])
    name: str = Field(description="The same in words.", examples=["live"])


class ConnectedServicesOut(Outputs):
    """The chat services that are connected to the org."""

    slack: bool = Field(default=False, description="Whether a Slack workspace is connected.")
    ms_teams: bool = Field(default=False, description="Whether Microsoft Teams is connected.")


class OrgOut(Outputs):
    """An org, as its users see it."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What it is called.", examples=["Acme"])
    timezone: str = Field(description="In which time it reads.", examples=["Europe/Berlin"])
    alert_muting: AlertMutingOut = Field(description="Whether it is muted.")
    onboarding_status_id: int = Field(description="How far it has come, up to 300.")
    onboarding_status: OnboardingStatusOut = Field(description="The same with its name.")
    connected_services: ConnectedServicesOut = Field(description="Chat services it is known to.")


class KeyOut(Outputs):
    """A key that works, as far as it may be shown: its secret part is kept nowhere."""

    name: str = Field(description="What it is for.", examples=["prometheus"])
    key: str = Field(
        description="How it begins; nothing of it is shown to who is no admin.",
        examples=["anm_1a2b3c4d_...", "anm_..."],
    )
    scopes: list[str] = Field(description="What it may be used for.", examples=[["ingest"]])


class DebtOut(Outputs):
    """The overdue bill, and what the org may still do."""

    state: str = Field(
        description="none; overdue: everything works; no_new_metrics: after 14 days; read_only:"
        " after 30, nothing can be sent or edited. Nothing is ever deleted.",
        examples=["none"],
    )
    since_timestamp: int | None = Field(description="The bill's time, unix seconds; null: none.")
    message: str = Field(description="A sentence for a banner; empty where nothing is overdue.")


class OwnOrgOut(OrgOut):
    """An org, with the data that only its own users see."""

    demo: bool = Field(description="Whether it is a read-only demo.")
    created_timestamp: int = Field(description="When it was made, unix seconds.")
    plan: str = Field(description="The name of its plan.", examples=["Self-hosted"])
    metric_quota: int | None = Field(description="How many metrics it may have; null: no limit.")
    metric_count: int = Field(description="How many count against that.")
    ingest_host: str = Field(description="Where senders send to.")
    learning: bool = Field(
        description="Whether the product proposes patterns for anomalies that come back."
    )
    keys: list[KeyOut] = Field(description="The keys that senders and scripts use.")
    debt: DebtOut = Field(description="Whether a bill is overdue.")


class InfoOut(Outputs):
    """The caller's org."""

    org: OwnOrgOut = Field(description="The org as it is now.")


class UpdateIn(Inputs):
    """The changes; a value that is left out does not change."""

    name: Line | None = Field(
        None, description="What the org is called.", json_schema_extra=names(None)
    )
    timezone: str | None = Field(
        None,
        max_length=64,
        description="Name of a time zone, of those /misc/timezones lists.",
        examples=["Europe/Berlin"],
    )
    mute_minutes: int | None = Field(
        None,
        ge=0,
        le=MINUTES_MAX,
        description="Send no notifications for so many minutes from now; 0 ends that.",
        examples=[30],
    )
    learning: bool | None = Field(
        None,
        description="Whether the product proposes patterns by itself. Switched off, those that it"
        " has found and nobody has accepted are not used any more.",
    )


@blueprint.route("/org/info", inputs=Inputs, outputs=InfoOut, access=VIEWER)
def info(inputs: Inputs) -> InfoOut:
    """Show the caller's org, its plan and its keys."""
    del inputs
    return InfoOut(org=_own(subject().org))


@blueprint.route("/org/update", inputs=UpdateIn, outputs=InfoOut, access=ADMIN, changes=True)
def update(inputs: UpdateIn) -> InfoOut:
    """Rename the org, set its time zone, mute it for some minutes, or let it learn by itself.

    While an org is muted everything is still found and recorded, and marked as muted. Afterwards
    people are notified of what is new or has changed, not of what was muted.
    """
    org_id, actor = subject().org.id, subject().label
    org = change_org(org_id, actor=actor, name=inputs.name, timezone=inputs.timezone)
    if inputs.learning is not None:
        set_learning(org_id, is_on=inputs.learning, actor=actor)
    if inputs.mute_minutes is not None:
        org = mute_org(org_id, inputs.mute_minutes, actor=actor)
    return InfoOut(org=_own(org))


def org_out(org: Org) -> OrgOut:
    """Return an org as any of its users may see it."""
    at = now()
    until = org.muted_until if is_muted(org, at) else None
    with transaction(write=False):
        kinds = kinds_of(org.id)
    return OrgOut(
        id=org.id,
        name=org.name,
        timezone=org.timezone,
        alert_muting=AlertMutingOut(
            muted=until is not None,
            muted_until_timestamp=to_timestamp(until) if until else None,
            muted_until_timestamp_string=(
                local_string(to_ms(until), org.timezone) if until else None
            ),
            minutes_remaining=minutes_left(org, at),
        ),
        onboarding_status_id=org.onboarding_status_id,
        onboarding_status=OnboardingStatusOut(
            id=org.onboarding_status_id, name=ONBOARDING_NAMES[org.onboarding_status_id]
        ),
        connected_services=ConnectedServicesOut(slack="slack" in kinds, ms_teams="teams" in kinds),
    )


def _own(org: Org) -> OwnOrgOut:
    quota, may_see_keys = quota_of(org.id), ADMIN.allows(subject())
    settings = app_state().settings
    plan = plan_in_force(
        find_account(org),
        is_billed=settings.stripe_secret_key is not None,
        free_metrics=settings.free_metrics,
    )
    since, debt = org.overdue_since, debt_of(org.overdue_since, now())
    return OwnOrgOut(
        **org_out(org).model_dump(),
        demo=org.is_demo,
        created_timestamp=to_timestamp(org.created_at),
        plan=plan.name,
        metric_quota=quota.limit,
        metric_count=quota.used,
        ingest_host=settings.base_url,
        learning=org.learns_patterns,
        keys=[
            KeyOut(
                name=token.name,
                key=beginning_of(token) if may_see_keys else "anm_...",
                scopes=token.scopes.split(","),
            )
            for token in list_tokens(org, limit=KEYS_MAX).items
            if is_valid(token)
        ],
        debt=DebtOut(
            state=debt,
            since_timestamp=to_timestamp(since) if since else None,
            message=sentence_about(debt, since),
        ),
    )
