"""/org/events: list what happened in the org, and report events such as deploys."""

from typing import Literal

from pydantic import Field

from anomify.anomaly.activity import Activity, list_activity
from anomify.auth.subject import subject
from anomify.clock import datetime_from_ms, now, to_timestamp
from anomify.edge.access import EDITOR, VIEWER
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Chips
from anomify.native.window import DAY, PageIn, Timestamp, WindowIn
from anomify.org.event import TEXT_CHARACTERS_MAX, WORDS_MAX, ReportedEvent, record_event
from anomify.org.model import OrgEvent

blueprint = NativeBlueprint("org_event", __name__)

# Enough for every type.
TYPES_MAX = 50


class EventsIn(WindowIn, PageIn):
    """Which stretch of the feed."""

    types: list[str] = Field(
        default=[],
        max_length=TYPES_MAX,
        description="Only events of these types, whole or by their first word; all without any.",
        examples=[["anomaly", "deploy", "watcher.update"]],
        json_schema_extra=names(None),
    )


class ActivityOut(Outputs):
    """An event."""

    id: str = Field(description="Its id, the same at every time of asking.", examples=["event-7"])
    type: str = Field(description="The kind of event.", examples=["deploy", "anomaly.opened"])
    timestamp: int = Field(description="When, unix seconds.")
    actor: str = Field(description="Who did it; Anomify where it was found.", examples=["Alice"])
    metric: str | None = Field(description="The metric it happened to, if it was one.")
    text: str = Field(description="What happened, in words.")


class EventsOut(Outputs):
    """A stretch of the feed."""

    events: list[ActivityOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are in the window.")


class CreateIn(Inputs):
    """What happened."""

    text: str = Field(
        max_length=TEXT_CHARACTERS_MAX,
        description="What happened, in one line.",
        examples=["shop 2.14 is live"],
        json_schema_extra=names(None),
    )
    type: Literal["deploy", "custom"] = Field("custom", description="deploy or custom.")
    timestamp: Timestamp | None = Field(None, description="When, unix seconds; now when left out.")
    tags: Chips = Field(
        default=[],
        max_length=WORDS_MAX,
        description="Words to find it by.",
        examples=[["shop", "backend"]],
        json_schema_extra=names(None),
    )
    chips: Chips = Field(
        default=[],
        max_length=WORDS_MAX,
        description=(
            "It is drawn on charts of metrics whose names contain these words; "
            "on all charts without any."
        ),
        examples=[["shop"]],
        json_schema_extra=names(None),
    )


class ReportedOut(Outputs):
    """An event that was sent to the org."""

    id: int = Field(description="Its id.")
    type: str = Field(description="deploy or custom.")
    timestamp: int = Field(description="When it happened, unix seconds.")
    actor: str = Field(description="Who sent it.")
    text: str = Field(description="What happened.")
    tags: list[str] = Field(description="Words to find it by.")
    chips: list[str] = Field(
        description="It is drawn on charts of metrics whose names contain all of these."
    )


class OneEventOut(Outputs):
    """One event."""

    event: ReportedOut = Field(description="The event as it is stored.")


@blueprint.route("/org/events", inputs=EventsIn, outputs=EventsOut, access=VIEWER)
def events(inputs: EventsIn) -> EventsOut:
    """List what happened in the org: anomalies, messages and changes, the last 24 hours by default.

    That is: anomalies that began or ended (`anomaly.opened`, `anomaly.ended`), deploys and other
    events that were sent (`deploy`, `custom`), admin alerts (`adminalert.raised`,
    `adminalert.recovered`), and changes of watchers, tokens, people, exclusions, metrics and the
    org itself (`watcher.update`, `org.mute` and so on).
    """
    from_ms, until_ms = inputs.window_ms(DAY)
    page = list_activity(
        subject().org.id,
        from_at=datetime_from_ms(from_ms),
        until_at=datetime_from_ms(until_ms),
        types=inputs.types,
        limit=inputs.limit,
        offset=inputs.offset,
    )
    return EventsOut(events=[activity_json(one) for one in page.items], total=page.total)


@blueprint.route(
    "/org/events/create",
    inputs=CreateIn,
    outputs=OneEventOut,
    access=EDITOR,
    changes=True,
)
def create(inputs: CreateIn) -> OneEventOut:
    """Tell of a deploy or anything else that happened; it is drawn on charts.

    An identical event that is sent twice is stored once.
    """
    reported = ReportedEvent(
        type=inputs.type,
        text=inputs.text,
        occurred_at=now().replace(microsecond=0)
        if inputs.timestamp is None
        else datetime_from_ms(round(inputs.timestamp * 1000)),
        tags=inputs.tags,
        chips=inputs.chips,
    )
    caller = subject()
    return OneEventOut(
        event=reported_json(record_event(caller.org.id, reported, actor=caller.label))
    )


def activity_json(found: Activity) -> ActivityOut:
    """Return an entry of the list as JSON."""
    return ActivityOut(
        id=found.id,
        type=found.type,
        timestamp=to_timestamp(found.at),
        actor=found.actor,
        metric=found.metric,
        text=found.text,
    )


def reported_json(event: OrgEvent) -> ReportedOut:
    """Return a reported event as JSON."""
    return ReportedOut(
        id=event.id,
        type=event.type,
        timestamp=to_timestamp(event.occurred_at),
        actor=event.actor,
        text=event.text,
        tags=event.tags,
        chips=event.chips,
    )
