"""The outputs of the routes of watchers."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import now, to_timestamp
from anomify.delivery.decision import Tell
from anomify.delivery.watcher_trial import ContactTrial
from anomify.edge.access import EDITOR
from anomify.edge.contract import Outputs
from anomify.pipeline.backtest import Backtest
from anomify.watcher.contact_view import ShownContacts
from anomify.watcher.editing import UNIT_SECONDS
from anomify.watcher.model import Watcher
from anomify.watcher.queries import WatchedCounts
from anomify.watcher.report_schedule import read_schedule
from anomify.watcher.threshold import Threshold


class WatcherContactOut(Outputs):
    """A contact point that a watcher notifies."""

    id: int = Field(description="The contact point's id.")
    name: str = Field(description="What people call it.")
    kind: str = Field(description="Its kind, such as email or slack.")
    step: int = Field(
        description="0 is notified at once; n as the n-th step, if nobody has acknowledged."
    )
    automatic: bool = Field(description="Whether it was made from a field of a watcher.")
    problem: str | None = Field(description="Why messages to it cannot arrive now.")


class EscalationOut(Outputs):
    """Contact points that are notified where nobody has acknowledged."""

    after_minutes: int = Field(description="So long after the incident opened.")
    contact_point_ids: list[int] = Field(description="The contact points of this step.")


class ThresholdOut(Outputs):
    """What a watcher compares instead of watching anomalies."""

    operator: Literal["greater", "less", "drop_off", "no_data"] = Field(description="How.")
    value: float = Field(
        description="What is compared with: a value, the drop in percent, or seconds without data."
    )
    times_in_a_row: int = Field(description="How many points in a row must be over it.")
    function: str = Field(description="What of the points is compared: last, mean and others.")
    function_seconds: int = Field(description="The function is of the points of so many seconds.")
    condition: str = Field(description="The threshold in words.")


class WatcherOut(Outputs):
    """A watcher and what it is about."""

    id: int = Field(description="Its id.")
    name: str = Field(description="What people call it.")
    chips: list[str] = Field(
        description="What a metric's name must all fulfil: words, key=value for labels, ! for not."
    )
    alert: bool = Field(description="Whether anybody is notified.")
    severity: Literal["low", "medium", "high"] = Field(
        description="The least severity that is notified about."
    )
    expiration_time: int = Field(
        description="How long nothing is sent about a metric after a notification."
    )
    expiration_time_unit: str = Field(description="The unit of expiration_time.")
    group_wait_seconds: int = Field(
        description="How long the first message of an incident waits for more that belongs to it."
    )
    sustain_seconds: int = Field(
        description="How long an incident must last before its first message."
    )
    group_interval_seconds: int = Field(
        description="The least time between a message and one that more anomalies have joined."
    )
    recover_seconds: int = Field(
        description="How long an incident must be over before its recovery is told."
    )
    reminder_seconds: int | None = Field(
        description="How often to remind of what goes on and nobody has acknowledged."
    )
    escalation: list[EscalationOut] = Field(
        description="Who is notified later, where nobody acknowledges."
    )
    threshold: ThresholdOut | None = Field(
        description="What it compares; null where it watches anomalies that are found by itself."
    )
    summary_report_frequency: str | None = Field(
        description="When a summary is sent, such as daily-10:00, in the org's time zone."
    )
    summary_report_user_ids: list[int] = Field(description="Users of the org who get it.")
    next_summary_timestamp: int | None = Field(description="When the next one is due.")
    contact_points: list[WatcherContactOut] = Field(
        description="Everything that it notifies, those made from its other fields included."
    )
    contact_point_ids: list[int] = Field(
        description="The contact points that were chosen for it, notified at once."
    )
    email_user_ids: list[int] = Field(description="Users of the org who get e-mails.")
    sms_user_ids: list[int] = Field(description="Users of the org who get text messages.")
    slack_channel: str | None = Field(description="The Slack channel that it posts to.")
    slack_mention_user_ids: list[int] = Field(
        description="Users of the org whom its Slack messages mention."
    )
    teams_webhook: str | None = Field(description="To those who may not change it, the host only.")
    webhook_url: str | None = Field(description="To those who may not change it, the host only.")
    webhook_stopped: bool = Field(description="The receiver answered 410; set the URL anew.")
    problem: str | None = Field(
        description="Why it reaches nobody now, or why the latest message has not arrived."
    )
    created_by: str = Field(description="Who made it.")
    created_timestamp: int = Field(description="When, unix seconds.")
    deleted: bool = Field(description="Whether it is deleted.")
    deleted_timestamp: int | None = Field(description="When it was deleted, unix seconds.")
    metrics: int = Field(description="How many metrics hold every chip now.")
    anomalies_7d: int = Field(description="How many anomalies they had in the last seven days.")


class WatchersOut(Outputs):
    """A page of watchers."""

    watchers: list[WatcherOut] = Field(description="The watchers, newest first.")
    total: int = Field(description="How many there are in all.")


class SavedOut(Outputs):
    """A watcher as it was saved."""

    watcher: WatcherOut = Field(description="The watcher as it is now.")
    metrics_matched: int = Field(description="How many metrics hold every chip now.")
    warning: str | None = Field(
        None, description="What to think about, such as that no metric matches."
    )
    webhook_secret: str | None = Field(
        None, description="Verifies our signatures; present only when it is new, and never again."
    )
    test_alert: int | None = Field(None, description="How many test messages are on their way.")


class OneWatcherOut(Outputs):
    """A watcher."""

    watcher: WatcherOut = Field(description="The watcher as it is now.")


class TestRequestOut(Outputs):
    """One call of a test message."""

    method: str = Field(description="POST and others, or SMTP for a mail.")
    host: str = Field(description="The host that was called; the rest of a URL may be a secret.")
    content_type: str = Field(description="The type of the payload.")
    payload: str = Field(description="What was sent; secrets are hidden.")
    status: int | None = Field(description="The status of the answer; null without one.")
    answer: str = Field(description="The beginning of what was answered.")


class ContactTestOut(Outputs):
    """What came of the test message to one contact point."""

    contact_point_id: int = Field(description="The contact point's id.")
    name: str = Field(description="What people call it.")
    kind: str = Field(description="Its kind, such as email or slack.")
    step: int = Field(description="0 is notified at once; n as the n-th step of the escalation.")
    delivered: bool = Field(description="Whether the receiver took the message.")
    problem: str | None = Field(description="Why it was not delivered.")
    requests: list[TestRequestOut] = Field(description="What was sent, and what was answered.")


class WatcherTestOut(Outputs):
    """What came of a test of a watcher."""

    tests: list[ContactTestOut] = Field(description="One for each contact point; at most 20.")
    delivered: int = Field(description="How many receivers took the message.")


class WouldTellOut(Outputs):
    """An incident that would have been told."""

    timestamp: int = Field(description="When the first message would have been sent, unix seconds.")
    metric: str = Field(description="The metric of its first anomaly.")
    severity: str = Field(description="low, medium or high.")
    what: str = Field(description="What was unusual, in one sentence.")
    anomalies: int = Field(description="How many anomalies the message would have been about.")
    flapping: bool = Field(description="Whether it would say that the metric flaps.")
    anomaly_id: int | None = Field(description="The first anomaly; null if none was recorded.")


class BacktestOut(Outputs):
    """What a watcher would have told."""

    summary: str = Field(description="The result in one sentence.")
    told: int = Field(description="How many incidents would have been told.")
    days: int = Field(description="How many days were looked at.")
    from_timestamp: int = Field(description="Their beginning, unix seconds.")
    until_timestamp: int = Field(description="Their end, unix seconds.")
    messages: dict[str, int] = Field(
        description="How many messages of each kind one contact point would have got."
    )
    incidents: list[WouldTellOut] = Field(description="The newest of them, at most 200.")
    anomalies: int = Field(description="How many anomalies were considered.")
    metrics_matched: int = Field(description="How many metrics fulfil every chip now.")
    left_out: list[str] = Field(description="What was not considered.")


class ChipOut(Outputs):
    """A word that could be added."""

    chip: str = Field(description="The word.")
    count: int = Field(description="How many metrics would be left.")


class ChipsOut(Outputs):
    """Words to add to the chosen ones."""

    chips: list[ChipOut] = Field(description="Words, the commonest first; at most 20.")
    metrics_matched: int = Field(description="How many metrics hold the chosen chips.")


def watcher_json(
    watcher: Watcher, counts: WatchedCounts, notified: ShownContacts, problem: str | None
) -> WatcherOut:
    """Return a watcher as the wire has it."""
    return WatcherOut(
        id=watcher.id,
        name=watcher.name,
        chips=watcher.chips,
        alert=watcher.is_alerting,
        severity=watcher.severity,
        expiration_time=watcher.expiration_seconds // UNIT_SECONDS[watcher.expiration_unit],
        expiration_time_unit=watcher.expiration_unit,
        group_wait_seconds=watcher.group_wait_seconds,
        sustain_seconds=watcher.sustain_seconds,
        group_interval_seconds=watcher.group_interval_seconds,
        recover_seconds=watcher.recover_seconds,
        reminder_seconds=watcher.reminder_seconds,
        escalation=[
            EscalationOut(
                after_minutes=minutes,
                contact_point_ids=[
                    shown.contact_point.id for shown in notified.contacts if shown.step == step
                ],
            )
            for step, minutes in enumerate(watcher.escalation_minutes, 1)
        ],
        threshold=_threshold_json(watcher),
        summary_report_frequency=watcher.summary_report_frequency,
        summary_report_user_ids=watcher.summary_report_user_ids,
        next_summary_timestamp=_next_summary(watcher),
        contact_points=[
            WatcherContactOut(
                id=shown.contact_point.id,
                name=shown.contact_point.name,
                kind=shown.contact_point.kind,
                step=shown.step,
                automatic=shown.contact_point.is_automatic,
                problem=shown.problem,
            )
            for shown in notified.contacts
        ],
        contact_point_ids=[
            shown.contact_point.id
            for shown in notified.contacts
            if not shown.contact_point.is_automatic and not shown.step
        ],
        email_user_ids=list(notified.email_user_ids),
        sms_user_ids=list(notified.sms_user_ids),
        slack_channel=notified.slack_channel or None,
        slack_mention_user_ids=list(notified.slack_mention_user_ids),
        teams_webhook=_shown_url(notified.teams_webhook),
        webhook_url=_shown_url(notified.webhook_url),
        webhook_stopped=notified.is_webhook_stopped or watcher.webhook_stopped_at is not None,
        problem=problem,
        created_by=watcher.created_by,
        created_timestamp=to_timestamp(watcher.created_at),
        deleted=watcher.deleted_at is not None,
        deleted_timestamp=None if watcher.deleted_at is None else to_timestamp(watcher.deleted_at),
        metrics=counts.metrics,
        anomalies_7d=counts.anomalies,
    )


def _shown_url(url: str | None) -> str | None:
    # The path of many receivers' URLs is a password.
    if url is None or EDITOR.allows(subject()):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def test_json(trials: Sequence[ContactTrial]) -> WatcherTestOut:
    """Return the results of a test as the wire has them."""
    return WatcherTestOut(
        tests=[
            ContactTestOut(
                contact_point_id=each.contact_point_id,
                name=each.name,
                kind=each.kind,
                step=each.step,
                delivered=each.trial.is_delivered,
                problem=each.trial.problem or None,
                requests=[
                    TestRequestOut(
                        method=request.method,
                        host=request.host,
                        content_type=request.content_type,
                        payload=request.payload,
                        status=request.status,
                        answer=request.answer,
                    )
                    for request in each.requests
                ],
            )
            for each in trials
        ],
        delivered=sum(each.trial.is_delivered for each in trials),
    )


def backtest_json(found: Backtest, days: int) -> BacktestOut:
    """Return a backtest as the wire has it."""
    return BacktestOut(
        summary=found.summary(days),
        told=found.told_count,
        days=days,
        from_timestamp=to_timestamp(found.from_at),
        until_timestamp=to_timestamp(found.until_at),
        messages=found.messages,
        incidents=[
            WouldTellOut(
                timestamp=to_timestamp(each.at),
                metric=each.first.metric_name,
                severity=each.first.severity,
                what=each.first.what,
                anomalies=each.anomaly_count,
                flapping=each.tell is Tell.FLAPPING,
                anomaly_id=each.first.anomaly_id or None,
            )
            for each in found.openings
        ],
        anomalies=found.anomaly_count,
        metrics_matched=found.metric_count,
        left_out=found.left_out,
    )


def _threshold_json(watcher: Watcher) -> ThresholdOut | None:
    threshold = Threshold.of(watcher)
    if threshold is None:
        return None
    return ThresholdOut(
        operator=threshold.operator.value,
        value=threshold.value,
        times_in_a_row=threshold.times,
        function=threshold.function,
        function_seconds=threshold.function_seconds,
        condition=threshold.condition(),
    )


def _next_summary(watcher: Watcher) -> int | None:
    if watcher.summary_report_frequency is None or watcher.deleted_at is not None:
        return None
    schedule = read_schedule(watcher.summary_report_frequency)
    if schedule is None:
        return None
    return to_timestamp(schedule.due_after(now(), subject().org.timezone))
