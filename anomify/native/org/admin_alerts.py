"""/org/adminalerts and /org/adminalert: warnings of an org's admins, and how they want them."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from anomify.admin_alert.kinds import KINDS, QUOTA_EXCEEDED
from anomify.admin_alert.model import SilentMetric
from anomify.admin_alert.queries import (
    get_raised_alert,
    heading_of,
    list_metrics_of,
    refused_names,
)
from anomify.admin_alert.recipients import alert_recipients
from anomify.admin_alert.settings import (
    EXPIRATION_SECONDS_LEAST,
    EXPIRATION_SECONDS_MOST,
    WAIT_SECONDS_LEAST,
    WAIT_SECONDS_MOST,
    AlertSettings,
    AlertSettingsChange,
    alert_settings_of_org,
    change_alert_settings,
)
from anomify.auth.subject import subject
from anomify.clock import to_timestamp
from anomify.edge.access import ADMIN, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.errors import Conflict
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import RowIds, Words
from anomify.user.model import User

blueprint = NativeBlueprint("org_alert", __name__)

# Metrics of one warning in one reply.
METRICS_MAX = 1_000

Wait = Annotated[int, Field(ge=WAIT_SECONDS_LEAST, le=WAIT_SECONDS_MOST)]
# Names or ids of channels.
Slack = Words
Expiration = Annotated[int, Field(ge=EXPIRATION_SECONDS_LEAST, le=EXPIRATION_SECONDS_MOST)]


class RecipientUserOut(Outputs):
    """A user who is notified."""

    id: int = Field(description="Their id.")
    name: str = Field(description="Their name.")
    email: str = Field(description="Where mails go to.")


class RecipientOut(Outputs):
    """A user who is notified, and by which way."""

    method: Literal["email"] = Field(description="By which way.")
    ref: int = Field(description="The id of the user.")
    user: RecipientUserOut = Field(description="The user.")


class AdminAlertOut(Outputs):
    """A kind of trouble, and how admins are warned of it."""

    id: int = Field(description="1: all metrics stopped, 2: some metrics stopped, 3: quota.")
    name: str = Field(description="The same in words.", examples=["Some metrics have stopped"])
    wait_seconds: int = Field(description="So long nothing must have come.", examples=[500])
    expiration_seconds: int = Field(
        description="Within so long of a mail about it no other one is sent.", examples=[3600]
    )
    enabled: bool = Field(description="Whether anybody is warned.")
    alerts: list[RecipientOut] = Field(description="Who is notified, and how.")


class AdminAlertsOut(Outputs):
    """Every kind of trouble there is."""

    admin_alerts: list[AdminAlertOut] = Field(description="In order of their ids.")


class AdminAlertsIn(Inputs):
    """The new settings; a setting that is left out does not change."""

    type_1_enabled: bool | None = Field(None, description="Warn when all metrics have stopped.")
    type_1_wait_seconds: Wait | None = Field(
        None, description="After so many seconds without a point."
    )
    type_1_expiration_seconds: Expiration | None = Field(
        None, description="At most once within so long."
    )
    type_1_email: RowIds | None = Field(
        None,
        description="The users who are notified by mail; all admins when empty.",
        json_schema_extra=names("user"),
    )
    type_1_slack: Slack | None = Field(
        None, description="Slack channels to notify; none can be named while no Slack is connected."
    )
    type_2_enabled: bool | None = Field(None, description="Warn when some metrics have stopped.")
    type_2_wait_seconds: Wait | None = Field(
        None, description="After so many seconds without a point."
    )
    type_2_expiration_seconds: Expiration | None = Field(
        None, description="At most once within so long."
    )
    type_2_email: RowIds | None = Field(
        None,
        description="The users who are notified by mail; all admins when empty.",
        json_schema_extra=names("user"),
    )
    type_2_slack: Slack | None = Field(
        None, description="Slack channels to notify; none can be named while no Slack is connected."
    )
    type_3_enabled: bool | None = Field(
        None, description="All admins are warned of an exceeded quota; this cannot be changed."
    )

    @property
    def changes(self) -> dict[int, AlertSettingsChange]:
        """Return the requested changes by type of alert."""
        found = {
            type_id: AlertSettingsChange(
                is_enabled=getattr(self, f"type_{type_id}_enabled"),
                wait_seconds=getattr(self, f"type_{type_id}_wait_seconds", None),
                expiration_seconds=getattr(self, f"type_{type_id}_expiration_seconds", None),
                email_user_ids=getattr(self, f"type_{type_id}_email", None),
            )
            for type_id in KINDS
        }
        return {
            type_id: change for type_id, change in found.items() if change != AlertSettingsChange()
        }

    @property
    def slack_fields(self) -> list[str]:
        """Return the parameters that name a Slack channel."""
        named = [f"type_{type_id}_slack" for type_id in (1, 2)]
        return [name for name in named if getattr(self, name)]


class ReadOnlyIn(AdminAlertsIn):
    """No parameters: changes are sent as POST."""

    @model_validator(mode="after")
    def _changes_nothing(self) -> Self:
        if self.changes or self.slack_fields:
            raise ValueError("Send what is to be changed as POST.")
        return self


class RaisedIn(Inputs):
    """Which warning."""

    alert_code: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="The code in the letter's link.", json_schema_extra=names("adminalert")
    )


class SilentOut(Outputs):
    """A metric that stopped reporting."""

    metric: str = Field(description="Its name.")
    since: int = Field(description="The time of its last point, unix seconds.")
    returned: int | None = Field(description="When it was back, or null.")
    left: int | None = Field(description="When it stopped being expected to report, or null.")


class RaisedOut(Outputs):
    """A warning that was raised."""

    type: int = Field(description="1: all metrics stopped, 2: some metrics stopped, 3: quota.")
    name: str = Field(description="The same in words.")
    raised: int = Field(description="When it was raised, unix seconds.")
    since: int = Field(description="When the trouble began.")
    recovered_at: int | None = Field(description="When it was over; null while it is not.")
    metric_count: int = Field(description="How many metrics or refused names it is about.")
    metrics: list[SilentOut] = Field(
        description=f"Those that stopped, the silent ones first; at most {METRICS_MAX:,}."
    )
    rejected: list[str] = Field(description="Of an exceeded quota: names refused of late.")


class OneRaisedOut(Outputs):
    """One warning."""

    alert: RaisedOut = Field(description="The warning as it is now.")


@blueprint.route(
    "/org/adminalerts",
    inputs=ReadOnlyIn,
    outputs=AdminAlertsOut,
    access=ADMIN,
    methods=["GET"],
)
def adminalerts(inputs: ReadOnlyIn) -> AdminAlertsOut:
    """List how the org's admins are warned of trouble with its metrics."""
    del inputs
    return _listed()


@blueprint.route(
    "/org/adminalerts",
    inputs=AdminAlertsIn,
    outputs=AdminAlertsOut,
    access=ADMIN,
    methods=["POST"],
    changes=True,
    errors=(409,),
)
def change_adminalerts(inputs: AdminAlertsIn) -> AdminAlertsOut:
    """Change how the org's admins are warned, and list it; without parameters it is only listed.

    They are warned when all metrics stop, when some stop while others go on (and when those are
    back), and when the quota refuses new metrics. A metric that stays silent for 24 hours leaves
    the pipeline, with a notice.
    """
    caller = subject()
    if inputs.slack_fields:
        raise Conflict(
            "Slack is not connected, so no notification can be sent there and nothing was changed."
            " Name users in type_1_email or type_2_email instead.",
            fields=dict.fromkeys(inputs.slack_fields, "No Slack is connected."),
        )
    for type_id, change in inputs.changes.items():
        change_alert_settings(caller.org.id, type_id, change, actor=caller.label)
    return _listed()


@blueprint.route(
    "/org/adminalert/<alert_code>",
    inputs=RaisedIn,
    outputs=OneRaisedOut,
    access=VIEWER,
)
def adminalert(inputs: RaisedIn) -> OneRaisedOut:
    """Show one warning that was raised: which metrics, since when, and whether it is over."""
    raised = get_raised_alert(subject().org.id, inputs.alert_code)
    over = raised.recovered_at
    is_quota = raised.type_id == QUOTA_EXCEEDED
    return OneRaisedOut(
        alert=RaisedOut(
            type=raised.type_id,
            name=heading_of(raised),
            raised=to_timestamp(raised.raised_at),
            since=to_timestamp(raised.began_at),
            recovered_at=None if over is None else to_timestamp(over),
            metric_count=raised.metric_count,
            metrics=[
                silent_json(name, row) for name, row in list_metrics_of(raised, limit=METRICS_MAX)
            ],
            rejected=refused_names(raised.org_id) if is_quota else [],
        )
    )


def admin_alert_json(inputs: AlertSettings, recipients: list[User]) -> AdminAlertOut:
    """Return a kind of admin alert and its receivers as the API describes them."""
    return AdminAlertOut(
        id=inputs.kind.id,
        name=inputs.kind.name,
        wait_seconds=inputs.wait_seconds,
        expiration_seconds=inputs.expiration_seconds,
        enabled=inputs.is_enabled,
        alerts=[
            RecipientOut(
                method="email",
                ref=user.id,
                user=RecipientUserOut(id=user.id, name=user.name, email=user.email),
            )
            for user in recipients
        ],
    )


def silent_json(name: str, row: SilentMetric) -> SilentOut:
    """Return a metric that stopped as the wire has it."""
    return SilentOut(
        metric=name,
        since=to_timestamp(row.silent_since),
        returned=None if row.returned_at is None else to_timestamp(row.returned_at),
        left=None if row.left_at is None else to_timestamp(row.left_at),
    )


def _listed() -> AdminAlertsOut:
    org_id = subject().org.id
    return AdminAlertsOut(
        admin_alerts=[
            admin_alert_json(inputs, alert_recipients(org_id, inputs))
            for inputs in alert_settings_of_org(org_id)
        ]
    )
