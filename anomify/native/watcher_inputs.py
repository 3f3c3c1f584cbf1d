"""The inputs of the routes of watchers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from anomify.edge.contract import Inputs, names
from anomify.native.params import Chips, RowId, RowIds, Words
from anomify.native.window import PageIn
from anomify.pipeline.backtest import DAYS_MOST
from anomify.watcher.contact_plan import RequestedContacts
from anomify.watcher.editing import UNIT_SECONDS, WatcherFields
from anomify.watcher.escalation import EscalationStep
from anomify.watcher.queries import WatcherOrder
from anomify.watcher.threshold import FUNCTIONS
from anomify.watcher.timing import RequestedReport, RequestedThreshold, RequestedTiming


class EscalationIn(BaseModel):
    """Whom to notify where nobody has acknowledged."""

    model_config = ConfigDict(extra="forbid")

    after_minutes: int = Field(description="So many minutes after the incident opened.")
    contact_point_ids: RowIds = Field(
        description="Contact points to notify then.", json_schema_extra=names("contact_point")
    )


class WatcherFieldsIn(Inputs):
    """The settings of a watcher."""

    name: str | None = Field(
        None, description="The chips when it is left out.", json_schema_extra=names(None)
    )
    alert: bool | None = Field(None, description="Whether to notify anybody; false at first.")
    severity: str | None = Field(
        None, description="The least severity to notify about: low, medium or high; high at first."
    )
    expiration_time: int | None = Field(
        None,
        description="How long nothing is sent about a metric after a message; 3600 s at first.",
    )
    expiration_time_unit: str | None = Field(
        None, description=f"{', '.join(UNIT_SECONDS)}; second when left out."
    )
    group_wait_seconds: int | None = Field(
        None, description="Let the first message of an incident wait for more; 0 at first."
    )
    sustain_seconds: int | None = Field(
        None, description="Tell only what lasts so long; 0 at first."
    )
    group_interval_seconds: int | None = Field(
        None, description="The least time between updates of an incident; 300 at first."
    )
    recover_seconds: int | None = Field(
        None, description="Tell a recovery only when it has lasted so long; 0 at first."
    )
    reminder_seconds: int | None = Field(
        None,
        description="Remind so often of what goes on until somebody acknowledges it; 0 for never,"
        " as at first.",
    )
    escalation: list[EscalationIn] | None = Field(
        None,
        description="Whom else to notify where nobody has acknowledged by then; each step later"
        " than the one before.",
        examples=[[{"after_minutes": 15, "contact_point_ids": [1]}]],
    )
    summary_report_frequency: str | None = Field(
        None,
        max_length=32,
        description="Send a summary: daily-10:00, weekly-monday or monthly-17, in the org's time"
        " zone; empty for none.",
    )
    summary_report_user_ids: RowIds | None = Field(
        None,
        description="Users of the org who get the summary by e-mail.",
        json_schema_extra=names("user"),
    )
    email_user_ids: RowIds | None = Field(
        None, description="Users of the org who get e-mails.", json_schema_extra=names("user")
    )
    contact_point_ids: RowIds | None = Field(
        None,
        description="Contact points to notify; see /contact_points/list.",
        json_schema_extra=names("contact_point"),
    )
    sms_user_ids: RowIds | None = Field(
        None,
        description="Users of the org who get text messages; needs a contact point of the kind sms"
        " with the account at the provider.",
        json_schema_extra=names("user"),
    )
    slack_channel: str | None = Field(
        None,
        max_length=200,
        description="A channel of the connected Slack workspace, or the name of a contact point of"
        " the kind slack; empty for none.",
    )
    slack_mention_user_ids: RowIds | None = Field(
        None,
        description="Users of the org whom its Slack messages mention.",
        json_schema_extra=names("user"),
    )
    teams_webhook: str | None = Field(
        None,
        max_length=2000,
        description="The address of a Microsoft Teams workflow; empty for none.",
    )
    webhook_url: str | None = Field(None, description="Where to post to; empty for nowhere.")
    webhook_secret: str | None = Field(
        None, description="whsec_ and base64 of 24 to 64 bytes; made for you when left out."
    )
    send_test_alert: bool = Field(default=False, description="Also send a test message now.")


CHIPS = (
    "What a metric's name must all fulfil: a word that it holds anywhere, a label with its whole"
    " value as in env=prod or env!=prod, or either after ! to leave it out."
)
OPERATOR = (
    "greater or less than the value; drop_off: so many percent below the mean of the ten points"
    " before; no_data: no point for so many seconds."
)


class CreateIn(WatcherFieldsIn):
    """A new watcher."""

    chips: Words = Field(description=CHIPS)


class ThresholdFieldsIn(Inputs):
    """What to compare with what."""

    value: float | None = Field(
        None, description="What to compare with: a value, the drop in percent, or seconds."
    )
    times_in_a_row: int | None = Field(
        None, description="How many points in a row must be over it; 1 at first."
    )
    function: str | None = Field(
        None, description=f"{', '.join(FUNCTIONS)} of the points; last at first."
    )
    function_seconds: int | None = Field(
        None, description="The function is of the points of so many seconds."
    )


class CreateThresholdIn(CreateIn, ThresholdFieldsIn):
    """A new watcher with a threshold."""

    operator: Literal["greater", "less", "drop_off", "no_data"] = Field(description=OPERATOR)
    value: float = Field(
        description="What to compare with: a value, the drop in percent, or seconds."
    )


class UpdateIn(WatcherFieldsIn, ThresholdFieldsIn):
    """What to change; the rest stays."""

    operator: str | None = Field(None, description=f"{OPERATOR} Empty to watch anomalies instead.")

    watcher_id: RowId = Field(description="The watcher's id.", json_schema_extra=names("watcher"))
    chips: Words | None = Field(None, description=CHIPS)


class WatcherIn(Inputs):
    """Which watcher."""

    watcher_id: RowId = Field(description="The watcher's id.", json_schema_extra=names("watcher"))


class DaysIn(Inputs):
    """How far to look back."""

    days: int = Field(30, ge=1, le=DAYS_MOST, description="How many days to look back.")


class BacktestIn(DaysIn, ThresholdFieldsIn):
    """The settings of a watcher that need not be saved."""

    chips: Words = Field(description=CHIPS)
    severity: str | None = Field(
        None, description="The least severity to notify about: low, medium or high; high at first."
    )
    expiration_time: int | None = Field(
        None, description="How long nothing is sent about a metric after a message."
    )
    expiration_time_unit: str | None = Field(
        None, description=f"{', '.join(UNIT_SECONDS)}; second when left out."
    )
    group_wait_seconds: int | None = Field(
        None, description="Let the first message of an incident wait for more."
    )
    sustain_seconds: int | None = Field(None, description="Tell only what lasts so long.")
    group_interval_seconds: int | None = Field(
        None, description="The least time between updates of an incident."
    )
    recover_seconds: int | None = Field(
        None, description="Tell a recovery only when it has lasted so long."
    )
    reminder_seconds: int | None = Field(None, description="Remind so often; 0 for never.")
    operator: str | None = Field(None, description=f"{OPERATOR} Empty for anomalies.")


class BacktestOneIn(DaysIn, WatcherIn):
    """Which watcher, and how far to look back."""


class DeletedIn(Inputs):
    """Which deleted watcher."""

    watcher_id: RowId = Field(
        description="The watcher's id.", json_schema_extra=names("deleted_watcher")
    )


class ListIn(PageIn):
    """The filters of a list of watchers."""

    include_deleted: bool = Field(default=False, description="Deleted ones too.")
    order: WatcherOrder = Field(
        WatcherOrder.NEWEST, description="Which come first: newest, oldest or by name."
    )


class ChipsIn(Inputs):
    """What has been chosen and typed so far."""

    chips: Chips = Field(default=[], description="The chips chosen so far.")
    q: str = Field("", max_length=200, description="What has been typed of the next one.")


def fields_to_try(inputs: BacktestIn) -> WatcherFields:
    """Return the requested fields of a watcher that is not saved."""
    return WatcherFields(
        chips=inputs.chips,
        severity=inputs.severity,
        expiration_time=inputs.expiration_time,
        expiration_time_unit=inputs.expiration_time_unit,
        timing=RequestedTiming(
            inputs.group_wait_seconds,
            inputs.sustain_seconds,
            inputs.group_interval_seconds,
            inputs.recover_seconds,
            inputs.reminder_seconds,
        ),
        threshold=RequestedThreshold(
            inputs.operator,
            inputs.value,
            inputs.times_in_a_row,
            inputs.function,
            inputs.function_seconds,
        ),
    )


def fields_of(inputs: CreateIn | CreateThresholdIn | UpdateIn) -> WatcherFields:
    """Return the requested fields of a watcher."""
    return WatcherFields(
        chips=inputs.chips,
        name=inputs.name,
        is_alerting=inputs.alert,
        severity=inputs.severity,
        expiration_time=inputs.expiration_time,
        expiration_time_unit=inputs.expiration_time_unit,
        contacts=RequestedContacts(
            contact_point_ids=inputs.contact_point_ids,
            escalation=None
            if inputs.escalation is None
            else [
                EscalationStep(each.after_minutes, each.contact_point_ids)
                for each in inputs.escalation
            ],
            email_user_ids=inputs.email_user_ids,
            sms_user_ids=inputs.sms_user_ids,
            slack_channel=inputs.slack_channel,
            slack_mention_user_ids=inputs.slack_mention_user_ids,
            teams_webhook=inputs.teams_webhook,
            webhook_url=inputs.webhook_url,
            webhook_secret=inputs.webhook_secret,
        ),
        timing=RequestedTiming(
            group_wait_seconds=inputs.group_wait_seconds,
            sustain_seconds=inputs.sustain_seconds,
            group_interval_seconds=inputs.group_interval_seconds,
            recover_seconds=inputs.recover_seconds,
            reminder_seconds=inputs.reminder_seconds,
        ),
        report=RequestedReport(inputs.summary_report_frequency, inputs.summary_report_user_ids),
        threshold=RequestedThreshold(
            inputs.operator,
            inputs.value,
            inputs.times_in_a_row,
            inputs.function,
            inputs.function_seconds,
        )
        if isinstance(inputs, ThresholdFieldsIn)
        else RequestedThreshold(),
    )
