"""/silence, /silences: times in which nobody is notified about some metrics."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints

from anomify.anomaly.model import Anomaly
from anomify.auth.subject import subject
from anomify.clock import datetime_from_timestamp, now, to_ms, to_timestamp
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.incident.model import Incident
from anomify.incident.queries import open_incidents_with
from anomify.metric.name import LABELLED_NAME_MAX_BYTES
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Chips, ClockTime, Days, RowId, RowIds
from anomify.native.window import PageIn, Timestamp, local_string, timestamp_of
from anomify.org.daily_times import WEEKDAYS, Occurrence, clock_time
from anomify.org.model import Org
from anomify.org.muting import is_muted
from anomify.silence.editing import (
    SilenceFields,
    create_silence,
    end_silence,
    new_silence,
    update_silence,
)
from anomify.silence.matcher import TEXT_CHARACTERS_MAX
from anomify.silence.model import COMMENT_CHARACTERS_MAX, Silence, SilenceKind
from anomify.silence.preview import SilencePreview, preview_of
from anomify.silence.queries import (
    SilenceState,
    end_of,
    get_silence,
    list_silences,
    next_occurrence,
    state_of,
)
from anomify.silence.window import MUTE

blueprint = NativeBlueprint("silence", __name__)

INCIDENTS_SHOWN = 20
MATCHES_NOTHING = "No metric matches now; metrics that come later are silenced."
MATCHES_ALL = "Every metric of the org matches."

Matchers = Annotated[
    list[Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS_MAX)]], Field(max_length=100)
]
MonthDays = Annotated[list[int], Field(max_length=100)]


class OccurrenceOut(Outputs):
    """A time in which a silence is in force."""

    from_timestamp: int = Field(description="Its beginning, unix seconds.")
    from_string: str = Field(description="The same in the silence's time zone.")
    until_timestamp: int = Field(description="Its end, unix seconds.")
    until_string: str = Field(description="The same in the silence's time zone.")


class RecurringOut(Outputs):
    """The local times at which a silence recurs."""

    local_from: str = Field(description="Time of the day at which it begins.", examples=["22:00"])
    local_until: str = Field(
        description="Time at which it ends, on the next day unless it is later.",
        examples=["06:00"],
    )
    weekdays: list[str] = Field(description="Days of the week on which it begins.")
    month_days: list[int] = Field(description="Days of the month on which it begins; -1: last.")
    dates: list[str] = Field(description="Dates on which it begins.", examples=[["2026-12-24"]])


class SilenceOut(Outputs):
    """A silence, maintenance, or the mute of the whole org."""

    id: int | None = Field(description="Its id; null for the mute of the org.")
    kind: Literal["silence", "maintenance", "mute"] = Field(
        description="What it is; /org/update changes the mute."
    )
    state: SilenceState = Field(
        description="active: in force now; upcoming: it will be; expired: never again."
    )
    comment: str = Field(description="What it is for; may be empty.")
    metric: str | None = Field(description="The one metric that it is about, if it names one.")
    matchers: list[str] = Field(
        description="Matchers that all have to match.", examples=[['env="staging"']]
    )
    chips: list[str] = Field(
        description="Words that a metric's name must all hold, or with ! must not hold."
    )
    everything: bool = Field(description="Whether it is about all metrics of the org.")
    from_timestamp: int | None = Field(
        description="Its beginning, unix seconds; null for the mute of the org."
    )
    until_timestamp: int | None = Field(
        description="Its end, unix seconds; null for one that recurs until it is ended."
    )
    recurring: RecurringOut | None = Field(
        description="The times at which it recurs; null for one that does not."
    )
    timezone: str = Field(description="The time zone of its local times.")
    current: OccurrenceOut | None = Field(
        description="The time in which it is in force now, or will be next; null when expired."
    )
    notify_contact_point_ids: list[int] = Field(
        description="Contact points that are told when it begins or ends."
    )
    notify_start: bool = Field(description="Whether they are told that it begins.")
    notify_end: bool = Field(description="Whether they are told that it ends.")
    created_by: str | None = Field(description="Who made it; null for the mute of the org.")
    created_timestamp: int | None = Field(description="When, unix seconds.")
    ended_by: str | None = Field(description="Who ended it before its time, if anybody did.")
    ended_timestamp: int | None = Field(description="When that was, unix seconds.")


class SilencesOut(Outputs):
    """A page of silences."""

    silences: list[SilenceOut] = Field(
        description="Active ones first, then upcoming ones, then expired ones."
    )
    total: int = Field(description="How many there are in all.")


class OneSilenceOut(Outputs):
    """A silence."""

    silence: SilenceOut = Field(description="The silence as it is now.")


class AnomalyOut(Outputs):
    """An open anomaly."""

    id: int = Field(description="Its id.")
    metric: str = Field(description="The metric that it is of.")
    severity: str = Field(description="low, medium or high.")
    from_timestamp: int | float = Field(description="Since when, unix seconds.")


class IncidentOut(Outputs):
    """An open incident."""

    id: int = Field(description="Its id.")
    severity: str = Field(description="low, medium or high.")
    from_timestamp: int | float = Field(description="Since when, unix seconds.")
    anomalies: int = Field(description="How many anomalies are part of it.")


class EffectOut(Outputs):
    """What a silence holds back."""

    metrics_matched: int = Field(description="How many metrics it matches now.")
    metrics: list[str] = Field(description="The first of their names, in alphabetical order.")
    total_metrics: int = Field(description="How many metrics the org has.")
    anomalies_matched: int = Field(description="How many open anomalies these metrics have.")
    anomalies: list[AnomalyOut] = Field(description="The newest of them.")
    incidents_matched: int = Field(
        description="How many open incidents these anomalies are part of."
    )
    incidents: list[IncidentOut] = Field(description="The newest of them.")
    occurrences: list[OccurrenceOut] = Field(
        description="When it is in force: now, if it is, and the next times; at most five."
    )
    warning: str | None = Field(description="What to think about before it is saved.")


class SavedOut(EffectOut):
    """A silence as it was saved, and its effect."""

    silence: SilenceOut = Field(description="The silence as it is now.")


class PreviewOut(EffectOut):
    """What a silence would hold back."""


class AffectedIn(Inputs):
    """Which metrics are meant, and when."""

    metric: str | None = Field(
        None,
        max_length=LABELLED_NAME_MAX_BYTES,
        description="A metric that it is about.",
        json_schema_extra=names("metric"),
    )
    matchers: Matchers | None = Field(
        None,
        description="Matchers of labels, as in Alertmanager, that all have to match: =, !=, =~ or"
        " !~, with RE2 expressions for whole values. `__name__` is the name without labels.",
        examples=[['env="staging"', 'job=~"backup.*"']],
    )
    chips: Chips | None = Field(
        None,
        description="Words that a metric's name must all hold, or with ! must not hold.",
        examples=[["cpu", "!staging"]],
    )
    everything: bool | None = Field(
        None, description="True for all metrics of the org, in place of metric, matchers and chips."
    )
    from_timestamp: Timestamp | None = Field(
        None,
        validation_alias=AliasChoices("from", "from_timestamp"),
        serialization_alias="from",
        description="From when on, unix seconds; now when left out or in the past.",
    )
    until_timestamp: Timestamp | None = Field(
        None,
        validation_alias=AliasChoices("until", "until_timestamp"),
        serialization_alias="until",
        description="Until when, unix seconds; one hour when left out of a new one. One that recurs"
        " needs no end; 0 takes it away.",
    )
    local_from: ClockTime | None = Field(
        None,
        description="For one that recurs: the local time of the day from which it is in force.",
        examples=["22:00"],
    )
    local_until: ClockTime | None = Field(
        None,
        description="Until which local time, on the next day unless it is later.",
        examples=["06:00"],
    )
    weekdays: Days | None = Field(
        None,
        description="On which days it begins; every day without any.",
        examples=[["saturday", "sunday"]],
    )
    month_days: MonthDays | None = Field(
        None, description="Also on these days of a month; -1 is the last one."
    )
    dates: Days | None = Field(None, description="Also on these dates.", examples=[["2026-12-24"]])
    timezone: str | None = Field(
        None,
        max_length=64,
        description="The time zone of local times; the org's when left out.",
        examples=["Europe/Berlin"],
    )


class CreateIn(AffectedIn):
    """A new silence."""

    kind: SilenceKind = Field(SilenceKind.SILENCE, description="silence or maintenance.")
    comment: str = Field(
        "", max_length=4 * COMMENT_CHARACTERS_MAX, description="What it is for, in one line."
    )
    notify_contact_point_ids: RowIds = Field(
        default=[],
        description="Contact points to tell of its beginning and end.",
        json_schema_extra=names("contact_point"),
    )
    notify_start: bool | None = Field(
        None, description="Tell them when it begins; true for maintenance at first."
    )
    notify_end: bool | None = Field(
        None, description="Tell them when it ends; true for maintenance at first."
    )


class UpdateIn(AffectedIn):
    """What to change; what is left out stays.

    Of metric, matchers, chips and everything, those that are given replace all four.
    """

    silence_id: RowId = Field(description="The silence's id.", json_schema_extra=names("silence"))
    kind: SilenceKind | None = Field(None, description="silence or maintenance.")
    comment: str | None = Field(
        None, max_length=4 * COMMENT_CHARACTERS_MAX, description="What it is for, in one line."
    )
    notify_contact_point_ids: RowIds | None = Field(
        None,
        description="Contact points to tell of its beginning and end.",
        json_schema_extra=names("contact_point"),
    )
    notify_start: bool | None = Field(None, description="Tell them when it begins.")
    notify_end: bool | None = Field(None, description="Tell them when it ends.")


class SilenceIn(Inputs):
    """Which silence."""

    silence_id: RowId = Field(description="The silence's id.", json_schema_extra=names("silence"))


class PreviewIn(AffectedIn):
    """A silence to be tried."""


class ListIn(PageIn):
    """The filters of a list of silences."""

    states: list[SilenceState] = Field(
        default=[], max_length=20, description="active, upcoming and expired; all without any."
    )


@blueprint.route(
    "/silence/create",
    inputs=CreateIn,
    outputs=SavedOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    errors=(404, 429),
)
def create(inputs: CreateIn) -> SavedOut:
    """Create a silence: anomalies are recorded, and nobody is notified.

    It is in force once, from a moment until another, or recurs at local times of some days. What
    is still wrong when it ends is told then.
    """
    caller = subject()
    return _saved(create_silence(caller.org, _fields(inputs), caller.label))


@blueprint.route(
    "/silence/<int:silence_id>/update",
    inputs=UpdateIn,
    outputs=SavedOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
    errors=(404, 409),
)
def update(inputs: UpdateIn) -> SavedOut:
    """Change a silence; a value that is left out does not change.

    One that is in force may be made longer or shorter; an end that has passed ends it now.
    """
    caller = subject()
    return _saved(update_silence(caller.org, inputs.silence_id, _fields(inputs), caller.label))


@blueprint.route(
    "/silence/<int:silence_id>/delete",
    inputs=SilenceIn,
    outputs=OneSilenceOut,
    access=EDITOR,
    changes=True,
    methods=["POST"],
)
def delete(inputs: SilenceIn) -> OneSilenceOut:
    """End a silence now; it stays in the list as expired, with who ended it."""
    caller = subject()
    ended = end_silence(caller.org.id, inputs.silence_id, caller.label)
    return OneSilenceOut(silence=silence_json(ended, now()))


@blueprint.route("/silence/<int:silence_id>", inputs=SilenceIn, outputs=SavedOut, access=VIEWER)
def silence(inputs: SilenceIn) -> SavedOut:
    """Show a silence, the metrics that it matches now, and their open anomalies."""
    return _saved(get_silence(subject().org.id, inputs.silence_id))


@blueprint.route(
    "/silence/preview",
    inputs=PreviewIn,
    outputs=PreviewOut,
    access=VIEWER,
    limits=("heavy",),
    errors=(404,),
)
def preview(inputs: PreviewIn) -> PreviewOut:
    """Show what a silence would hold back if it were created now; saves nothing."""
    caller, at = subject(), now()
    tried = new_silence(caller.org, _fields(inputs), caller.label, at)
    return PreviewOut(**_effect(preview_of(tried, at), tried))


@blueprint.route("/silences/list", inputs=ListIn, outputs=SilencesOut, access=VIEWER)
def silences(inputs: ListIn) -> SilencesOut:
    """List the silences of the org; a mute of the whole org is the first entry while it lasts."""
    org, at = subject().org, now()
    states = inputs.states or tuple(SilenceState)
    muted = [mute_json(org)] if is_muted(org, at) and SilenceState.ACTIVE in states else []
    first = muted[inputs.offset : inputs.offset + inputs.limit]
    page = list_silences(
        org.id,
        at,
        states=states,
        limit=inputs.limit - len(first),
        offset=max(inputs.offset - len(muted), 0),
    )
    return SilencesOut(
        silences=[*first, *(silence_json(each, at) for each in page.items)],
        total=page.total + len(muted),
    )


def silence_json(silence: Silence, at: datetime) -> SilenceOut:
    """Return a silence as the wire has it."""
    daily, following, until = silence.daily, next_occurrence(silence, at), end_of(silence)
    return SilenceOut(
        id=silence.id,
        kind="maintenance" if silence.kind == SilenceKind.MAINTENANCE else "silence",
        state=state_of(silence, at),
        comment=silence.comment,
        metric=silence.metric,
        matchers=silence.matchers,
        chips=silence.chips,
        everything=silence.is_for_all,
        from_timestamp=to_timestamp(silence.begins_at),
        until_timestamp=None if until is None else to_timestamp(until),
        recurring=None
        if daily is None
        else RecurringOut(
            local_from=clock_time(daily.from_minute),
            local_until=clock_time(daily.until_minute),
            weekdays=[WEEKDAYS[day] for day in silence.weekdays],
            month_days=silence.month_days,
            dates=silence.dates,
        ),
        timezone=silence.timezone,
        current=None if following is None else _occurrence(following, silence.timezone),
        notify_contact_point_ids=silence.notify_contact_point_ids,
        notify_start=silence.notifies_start,
        notify_end=silence.notifies_end,
        created_by=silence.created_by,
        created_timestamp=to_timestamp(silence.created_at),
        ended_by=silence.ended_by,
        ended_timestamp=None if silence.ended_at is None else to_timestamp(silence.ended_at),
    )


def mute_json(org: Org) -> SilenceOut:
    """Return the mute of the org in the form of a silence."""
    until = None if org.muted_until is None else to_timestamp(org.muted_until)
    return SilenceOut(
        id=None,
        kind=MUTE,
        state=SilenceState.ACTIVE,
        comment="The whole org is muted.",
        metric=None,
        matchers=[],
        chips=[],
        everything=True,
        from_timestamp=None,
        until_timestamp=until,
        recurring=None,
        timezone=org.timezone,
        current=None,
        notify_contact_point_ids=[],
        notify_start=False,
        notify_end=False,
        created_by=None,
        created_timestamp=None,
        ended_by=None,
        ended_timestamp=None,
    )


def _saved(silence: Silence) -> SavedOut:
    at = now()
    return SavedOut(**_effect(preview_of(silence, at), silence), silence=silence_json(silence, at))


def _effect(found: SilencePreview, silence: Silence) -> dict[str, Any]:
    warning = None
    if not found.metrics_matched:
        warning = MATCHES_NOTHING
    elif found.metrics_matched == found.metrics_total and not silence.is_for_all:
        warning = MATCHES_ALL
    incidents = open_incidents_with(found.anomaly_ids)
    return {
        "metrics_matched": found.metrics_matched,
        "metrics": found.names,
        "total_metrics": found.metrics_total,
        "anomalies_matched": len(found.anomaly_ids),
        "anomalies": [_anomaly(each) for each in found.anomalies],
        "incidents_matched": len(incidents),
        "incidents": [_incident(each) for each in incidents[:INCIDENTS_SHOWN]],
        "occurrences": [_occurrence(each, silence.timezone) for each in found.occurrences],
        "warning": warning,
    }


def _anomaly(anomaly: Anomaly) -> AnomalyOut:
    return AnomalyOut(
        id=anomaly.id,
        metric=anomaly.span.metric.name,
        severity=anomaly.span.severity,
        from_timestamp=timestamp_of(anomaly.span.started_ms),
    )


def _incident(incident: Incident) -> IncidentOut:
    return IncidentOut(
        id=incident.id,
        severity=incident.severity,
        from_timestamp=timestamp_of(incident.began_ms),
        anomalies=incident.anomaly_count,
    )


def _occurrence(found: Occurrence, timezone: str) -> OccurrenceOut:
    return OccurrenceOut(
        from_timestamp=to_timestamp(found.start),
        from_string=local_string(to_ms(found.start), timezone),
        until_timestamp=to_timestamp(found.end),
        until_string=local_string(to_ms(found.end), timezone),
    )


def _fields(inputs: CreateIn | UpdateIn | PreviewIn) -> SilenceFields:
    until = inputs.until_timestamp
    fields = SilenceFields(
        metric=None if inputs.metric is None else inputs.metric.strip(),
        matchers=inputs.matchers,
        chips=inputs.chips,
        everything=inputs.everything,
        begins_at=_moment(inputs.from_timestamp),
        ends_at=_moment(until or None),
        has_no_end=until == 0,
        local_from=inputs.local_from,
        local_until=inputs.local_until,
        weekdays=inputs.weekdays,
        month_days=inputs.month_days,
        dates=inputs.dates,
        timezone=inputs.timezone,
    )
    if isinstance(inputs, PreviewIn):
        return fields
    return replace(
        fields,
        kind=inputs.kind,
        comment=inputs.comment,
        notify_contact_point_ids=inputs.notify_contact_point_ids,
        notifies_start=inputs.notify_start,
        notifies_end=inputs.notify_end,
    )


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime_from_timestamp(timestamp)
