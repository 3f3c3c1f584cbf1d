"""The pages of incidents: the list, and one with its anomalies and what was told of it."""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from anomify.auth.subject import subject, user_subject
from anomify.clock import datetime_from_ms, now_ms, to_ms
from anomify.dashboard.anomaly_row import AnomalyRow, anomaly_row_of, sparkline_of_anomaly
from anomify.dashboard.layout import local_moment, render_page
from anomify.dashboard.page_blueprint import PageBlueprint, address
from anomify.dashboard.paging import page_links
from anomify.dashboard.sparkline import Sparkline
from anomify.dashboard.triage_part import done_of
from anomify.dashboard.triage_words import TriageRow, triage_row_of
from anomify.dashboard.wording import Moment, within_sentence
from anomify.delivery.told import ToldContact, ToldState, told_of_incident
from anomify.edge.access import USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.incident.model import STORM, Incident
from anomify.incident.queries import (
    first_names_of,
    get_incident,
    list_incidents,
    spans_to_show,
)
from anomify.metric.moved import list_moved
from anomify.metric.queries import find_progress
from anomify.metric.status import duration_in_words
from anomify.triage.queries import described

blueprint = PageBlueprint("incident_page", __name__)

PATH: Final = "/ui/incidents"
ROWS: Final = 25
# The most anomalies that the page of an incident shows.
MEMBERS_MOST: Final = 100
DAY_MS: Final = 86_400_000
# What moved from half an hour before an incident until half an hour after its begin.
MOVED_BEFORE_MS: Final = 1_800_000
MOVED_AFTER_MS: Final = 1_800_000
MOVED_MOST: Final = 10
WINDOWS: Final[dict[str, tuple[int | None, str]]] = {
    "7d": (7, "Last 7 days"),
    "30d": (30, "Last 30 days"),
    "all": (None, "All time"),
}


class IncidentPageIn(Inputs):
    """Which incident."""

    incident_id: int = Field(ge=1, le=2**31 - 1, json_schema_extra=names("incident"))
    done: int | None = Field(
        None, ge=1, description="what was just done", json_schema_extra=names(None)
    )


class IncidentsPageIn(Inputs):
    """Which incidents."""

    state: Literal["all", "open"] = Field("all", description="all or open")
    window: Literal["7d", "30d", "all"] = Field("7d", description="how far back")
    offset: int = Field(0, ge=0, le=10_000_000)

    def url(self, **changes: object) -> str:
        """Return the address of this list with changes; default values are left out."""
        given = {
            "state": None if self.state == "all" else self.state,
            "window": None if self.window == "7d" else self.window,
        }
        return address(PATH, **{**given, **changes})


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident, formatted for a page."""

    id: int
    title: str
    metric: str
    more: int
    severity: str
    is_open: bool
    is_storm: bool
    began: Moment
    lasted: str
    url: str


@dataclass(frozen=True, slots=True)
class MemberRow:
    """An anomaly of the incident."""

    event: AnomalyRow
    spark: Sparkline
    triage: TriageRow


@dataclass(frozen=True, slots=True)
class ToldRow:
    """What a contact point was told, in words."""

    contact_point: str
    contact_point_id: int
    watcher: str
    words: str
    # Whether `at` is since when, and not when.
    is_since: bool
    at: Moment | None
    problem: str
    log_url: str


@dataclass(frozen=True, slots=True)
class MovedRow:
    """A metric that moved at the time of the incident."""

    name: str
    url: str
    at: Moment


@blueprint.route(PATH, inputs=IncidentsPageIn, access=USER, methods=["GET"])
def incidents(inputs: IncidentsPageIn) -> str:
    """List the incidents of the org, the latest first."""
    days = WINDOWS[inputs.window][0]
    found = list_incidents(
        subject().org.id,
        is_open=True if inputs.state == "open" else None,
        from_at=None if days is None else datetime_from_ms(now_ms() - days * DAY_MS),
        limit=ROWS,
        offset=inputs.offset,
    )
    first = first_names_of(found.items)
    return render_page(
        "dashboard/incidents.html",
        inputs=inputs,
        windows=[(key, words) for key, (_, words) in WINDOWS.items()],
        rows=[_row(each, first.get(each.id, "")) for each in found.items],
        page=page_links(
            inputs.offset,
            len(found.items),
            found.total,
            ROWS,
            lambda at: inputs.url(offset=at or None),
        ),
    )


@blueprint.route(
    "/ui/incident/<int:incident_id>", inputs=IncidentPageIn, access=USER, methods=["GET"]
)
def page(inputs: IncidentPageIn) -> str:
    """Show an incident: what is unusual, who was told, what else moved, and what can be done."""
    org_id = subject().org.id
    incident = get_incident(org_id, inputs.incident_id)
    spans = spans_to_show(incident, MEMBERS_MOST)
    progresses = find_progress(org_id, [span.metric_id for span in spans])
    triages = described([span.anomaly_id for span in spans])
    members = [
        MemberRow(
            anomaly_row_of(span.anomaly, progresses.get(span.metric_id)),
            sparkline_of_anomaly(span, progresses.get(span.metric_id), app_state().points),
            triage_row_of(triages[span.anomaly_id], user_subject().user.id),
        )
        for span in spans
    ]
    row = _row(incident, spans[0].metric.name if spans else "")
    mine = {span.metric.name for span in spans}
    moved = list_moved(
        org_id,
        incident.began_ms - MOVED_BEFORE_MS,
        incident.began_ms + MOVED_AFTER_MS,
        limit=MOVED_MOST + len(mine),
    )
    return render_page(
        "dashboard/incident.html",
        row=row,
        began=within_sentence(row.began),
        ended=None
        if incident.ended_ms is None
        else within_sentence(local_moment(incident.ended_ms)),
        members=members,
        more_members=max(incident.anomaly_count - len(members), 0),
        is_any_active=any(each.triage.status == "active" for each in members),
        is_any_open=any(each.triage.is_open for each in members),
        told=[_told_row(each, incident.id) for each in told_of_incident(org_id, incident.id)],
        moved=[
            MovedRow(
                each.name,
                address("/ui/metric", name=each.name, **_around(each.started_ms)),
                local_moment(each.started_ms),
            )
            for each in moved
            if each.name not in mine
        ][:MOVED_MOST],
        done=done_of(inputs.done),
        here=row.url,
        log_url=address("/ui/alerts", incident_id=incident.id),
    )


def _row(incident: Incident, metric: str) -> IncidentRow:
    more = incident.anomaly_count - 1
    last_ms = now_ms() if incident.ended_ms is None else incident.ended_ms
    length = last_ms - incident.began_ms
    return IncidentRow(
        id=incident.id,
        title=metric or "A deleted metric",
        metric=metric,
        more=more,
        severity=incident.severity,
        is_open=incident.is_open,
        is_storm=incident.kind == STORM,
        began=local_moment(incident.began_ms),
        lasted=duration_in_words(length) if length > 0 else "one point",
        url=f"/ui/incident/{incident.id}",
    )


def _told_row(told: ToldContact, incident_id: int) -> ToldRow:
    at = told.told_at
    match told.state:
        case ToldState.OPEN:
            words = "Told that it goes on"
        case ToldState.OVER:
            words = "Told that it is over"
        case ToldState.HELD:
            words, at = f"Not told yet because {told.held_why}", told.held_since
        case ToldState.WAITING:
            words, at = "Not told yet: its time has not come", None
        case ToldState.NOT_TOLD:
            why = f" because {told.held_why}" if told.held_why else ""
            words, at = f"Not told{why}; it was over before", None
    problem = ""
    if told.last_state == "dead":
        problem = f"The last message was given up. {told.last_problem or ''}".strip()
    elif told.last_state == "pending" and told.last_problem:
        problem = f"The last message has not arrived yet. {told.last_problem}"
    return ToldRow(
        contact_point=told.contact_point,
        contact_point_id=told.contact_point_id,
        watcher=told.watcher,
        words=words,
        is_since=told.state is ToldState.HELD,
        at=None if at is None else within_sentence(local_moment(to_ms(at))),
        problem=problem,
        log_url=address(
            "/ui/alerts", incident_id=incident_id, contact_point_id=told.contact_point_id
        ),
    )


def _around(time_ms: int) -> dict[str, int]:
    hours_ms = 3 * 3_600_000
    return {"from": (time_ms - hours_ms) // 1000, "until": (time_ms + hours_ms) // 1000}
