"""/incident, /incidents: anomalies that belong together, and what was told of them."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from anomify.auth.subject import subject
from anomify.clock import datetime_from_ms, to_timestamp
from anomify.delivery.told import ToldContact, ToldState, told_of_incident
from anomify.edge.access import VIEWER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, Outputs, names
from anomify.incident.model import Incident
from anomify.incident.queries import (
    first_names_of,
    get_incident,
    list_incidents,
    spans_to_show,
)
from anomify.metric.queries import get_metric
from anomify.native.anomaly.shapes import AnomalyOut, anomalies_json
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Name, RowId, canonical
from anomify.native.window import DAY, PageIn, WindowIn, timestamp_of

blueprint = NativeBlueprint("incident", __name__)

SHOWN_MOST = 200


class IncidentState(StrEnum):
    """Which incidents are wanted."""

    ALL = "all"
    OPEN = "open"
    ENDED = "ended"


class IncidentOut(Outputs):
    """An incident: anomalies of the org that belong together."""

    id: int = Field(description="Its id.")
    uuid: str = Field(description="An id that no other installation has.")
    kind: Literal["related", "storm"] = Field(
        description="storm: it has everything that began while too much began at once."
    )
    open: bool = Field(description="At least one of its anomalies goes on.")
    severity: Literal["low", "medium", "high"] = Field(
        description="The highest severity of its anomalies."
    )
    metric: str = Field(
        description="The metric that most probably moved first; empty if it was deleted."
    )
    first_anomaly_id: int = Field(description="The anomaly of that metric.")
    anomalies_count: int = Field(description="How many anomalies it has.")
    timestamp: int | float = Field(description="When the first of them began.")
    until_timestamp: int | float | None = Field(
        description="When the last of them ended; null while it is open."
    )
    opened_timestamp: int = Field(description="When it was found, unix seconds.")
    closed_timestamp: int | None = Field(description="When its end was found; null while open.")
    url: str = Field(description="Its page.")


class ToldOut(Outputs):
    """What one contact point of one watcher was told of an incident."""

    watcher_id: int = Field(description="The watcher.")
    watcher: str = Field(description="Its name.")
    contact_point_id: int = Field(description="The contact point.")
    contact_point: str = Field(description="Its name.")
    kind: str = Field(description="Its kind.", examples=["email"])
    state: ToldState = Field(
        description="open: it was told that the incident goes on; over: that it has ended; held:"
        " something holds the message back; waiting: its time has not come; not_told: it was over"
        " before it could be told."
    )
    opened_timestamp: int | None = Field(description="When it was first told of it.")
    told_timestamp: int | None = Field(description="When it was last told something.")
    held_timestamp: int | None = Field(description="Since when a message is held back.")
    held_why: str | None = Field(
        description="Why; it completes the sentence: Not sent because ...",
    )
    held_kind: str | None = Field(
        description="By what: silence, maintenance, mute, quiet hours, quiet time or flapping.",
        examples=["silence"],
    )
    messages: int = Field(description="How many messages there were.")
    last_state: str | None = Field(
        description="The state of the last one: pending, sent or dead.", examples=["sent"]
    )
    last_problem: str | None = Field(description="Why the last one has not arrived.")


class OneIncidentOut(Outputs):
    """One incident with all that belongs to it."""

    incident: IncidentOut = Field(description="The incident.")
    anomalies: list[AnomalyOut] = Field(
        description="Its anomalies, at most 200: the one that most probably came first on top, then"
        " those that go on, then by how unusual they were."
    )
    told: list[ToldOut] = Field(description="What each contact point was told, and why not.")
    moved_url: str = Field(description="What else moved at that time: a request of /metrics/moved.")


class IncidentsOut(Outputs):
    """A page of incidents."""

    incidents: list[IncidentOut] = Field(description="The latest first.")
    total: int = Field(description="How many there are in all.")


class IncidentIn(Inputs):
    """Which incident."""

    incident_id: RowId = Field(
        description="The incident's id.", json_schema_extra=names("incident")
    )


class IncidentsIn(WindowIn, PageIn):
    """The filters of a list of incidents."""

    state: IncidentState = Field(IncidentState.ALL, description="all, open or ended.")
    metric: Name | None = Field(
        None,
        description="Only those with an anomaly of this metric, by its name or id.",
        json_schema_extra=names("metric"),
    )


@blueprint.route(
    "/incident/<int:incident_id>", inputs=IncidentIn, outputs=OneIncidentOut, access=VIEWER
)
def incident(inputs: IncidentIn) -> OneIncidentOut:
    """Show an incident: its anomalies, what each contact point was told, and what else moved."""
    org_id = subject().org.id
    found = get_incident(org_id, inputs.incident_id)
    spans = spans_to_show(found, SHOWN_MOST)
    first = next((span.metric.name for span in spans[:1]), "")
    return OneIncidentOut(
        incident=_json(found, first),
        anomalies=anomalies_json([span.anomaly for span in spans]),
        told=[_told_json(each) for each in told_of_incident(org_id, found.id)],
        moved_url=app_state().settings.base_url + moved_path(found),
    )


@blueprint.route("/incidents", inputs=IncidentsIn, outputs=IncidentsOut, access=VIEWER)
def incidents(inputs: IncidentsIn) -> IncidentsOut:
    """List the incidents that were found in a window, by default in the last seven days."""
    org_id = subject().org.id
    metric = None if inputs.metric is None else get_metric(org_id, canonical(inputs.metric))
    from_ms, until_ms = inputs.window_ms(7 * DAY)
    is_open = {IncidentState.OPEN: True, IncidentState.ENDED: False}.get(inputs.state)
    page = list_incidents(
        org_id,
        is_open=is_open,
        metric_id=None if metric is None else metric.id,
        from_at=datetime_from_ms(from_ms),
        until_at=datetime_from_ms(until_ms),
        limit=inputs.limit,
        offset=inputs.offset,
    )
    first = first_names_of(page.items)
    return IncidentsOut(
        incidents=[_json(each, first.get(each.id, "")) for each in page.items], total=page.total
    )


def _json(found: Incident, first: str) -> IncidentOut:
    return IncidentOut(
        id=found.id,
        uuid=found.uuid,
        kind="storm" if found.kind == "storm" else "related",
        open=found.is_open,
        severity=found.severity,
        metric=first,
        first_anomaly_id=found.first_anomaly_id,
        anomalies_count=found.anomaly_count,
        timestamp=timestamp_of(found.began_ms),
        until_timestamp=None if found.ended_ms is None else timestamp_of(found.ended_ms),
        opened_timestamp=to_timestamp(found.opened_at),
        closed_timestamp=_seconds(found.closed_at),
        url=f"{app_state().settings.base_url}/ui/incident/{found.id}",
    )


def _told_json(told: ToldContact) -> ToldOut:
    return ToldOut(
        watcher_id=told.watcher_id,
        watcher=told.watcher,
        contact_point_id=told.contact_point_id,
        contact_point=told.contact_point,
        kind=told.kind,
        state=told.state,
        opened_timestamp=_seconds(told.opened_at),
        told_timestamp=_seconds(told.told_at),
        held_timestamp=_seconds(told.held_since),
        held_why=told.held_why,
        held_kind=told.held_kind,
        messages=told.messages,
        last_state=told.last_state,
        last_problem=told.last_problem,
    )


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else to_timestamp(at)


def moved_path(found: Incident) -> str:
    """Return the request for what else moved when an incident began."""
    begin = found.began_ms // 1000
    return f"/metrics/moved?from={begin - BEFORE_SECONDS}&until={begin + AFTER_SECONDS}"


# What moved from half an hour before an incident until half an hour after its begin.
BEFORE_SECONDS = 1800
AFTER_SECONDS = 1800
