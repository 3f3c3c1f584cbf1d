"""The inbox: the org's anomalies, newest first, and the states of its metrics."""

from dataclasses import dataclass
from typing import Final, Literal

from flask import Response, jsonify, make_response, redirect
from pydantic import Field

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import Running, count_anomalies, list_anomalies
from anomify.auth.seeing import note_seen
from anomify.auth.subject import subject, user_subject
from anomify.clock import now, now_ms
from anomify.dashboard.anomaly_row import AnomalyRow, anomaly_row_of, sparkline_of_anomaly
from anomify.dashboard.layout import render_page
from anomify.dashboard.metrics_status import metrics_status
from anomify.dashboard.page_blueprint import HOME, PageBlueprint, address
from anomify.dashboard.paging import Choice, page_links
from anomify.dashboard.sparkline import Sparkline
from anomify.dashboard.triage import SNOOZES
from anomify.dashboard.triage_part import done_of
from anomify.dashboard.triage_words import TriageRow, triage_row_of
from anomify.dashboard.wording import thousands
from anomify.db import Page
from anomify.edge.access import PUBLIC, USER
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.metric.model import Progress
from anomify.metric.queries import count_by_state, find_progress
from anomify.metric.status import State
from anomify.triage.assignment import list_assignable
from anomify.triage.filter import TriageFilter
from anomify.triage.queries import TriageDescription, described
from anomify.triage.status import ARCHIVED, OPEN, Status

blueprint = PageBlueprint("inbox", __name__)

ROWS: Final = 25
DAY_MS: Final = 86_400_000
WINDOWS: Final[dict[str, tuple[int | None, str, str]]] = {
    "24h": (DAY_MS, "Last 24 hours", "in the last 24 hours"),
    "7d": (7 * DAY_MS, "Last 7 days", "in the last 7 days"),
    "30d": (30 * DAY_MS, "Last 30 days", "in the last 30 days"),
    "all": (None, "All time", "so far"),
}
SEVERITIES: Final = (("low", "Any severity"), ("medium", "Medium and high"), ("high", "High only"))
STATES: Final = (
    (Running.ALL, "All"),
    (Running.OPEN, "Running"),
    (Running.ENDED, "Ended"),
    (Running.TRAINED, "Expected"),
    (Running.MATCHED, "Matched"),
)
# By word: the statuses, and whether snoozed ones are wanted.
_TRIAGES: Final[dict[str, tuple[tuple[Status, ...], bool | None]]] = {
    "open": (OPEN, False),
    "acknowledged": ((Status.ACKNOWLEDGED,), False),
    "snoozed": (OPEN, True),
    "archived": (ARCHIVED, None),
    "all": ((), None),
}
TRIAGES: Final = (
    ("open", "Open"),
    ("acknowledged", "Acknowledged"),
    ("snoozed", "Snoozed"),
    ("archived", "Archived"),
    ("all", "Any status"),
)


class InboxIn(Inputs):
    """The filters of the inbox."""

    state: Running = Field(Running.ALL, description="all, open, ended, trained or matched")
    triage: Literal["open", "acknowledged", "snoozed", "archived", "all"] = Field(
        "open", description="what people decided"
    )
    assignee: str = Field(
        "",
        pattern="^(me|none|[0-9]{1,9})?$",
        description="me, none or the id of a user who is assigned",
        json_schema_extra=names(None),
    )
    severity: Literal["low", "medium", "high"] = Field("low", description="the least severity")
    window: Literal["24h", "7d", "30d", "all"] = Field("7d", description="how far back")
    metric: str = Field(
        "",
        max_length=512,
        description="words of the metric's name",
        json_schema_extra=names(None),
    )
    offset: int = Field(0, ge=0, le=10_000_000)
    done: int | None = Field(
        None, ge=1, description="what was just done", json_schema_extra=names(None)
    )

    @property
    def is_narrowed(self) -> bool:
        """Return whether any filter but the window is set."""
        return (
            bool(self.metric.strip() or self.assignee)
            or (self.severity, self.triage) != ("low", "open")
            or self.state is not Running.ALL
        )

    def url(self, **changes: object) -> str:
        """Return the address of these filters with changes; default values are left out."""
        parameters = {**self.model_dump(mode="json"), "offset": 0, "done": None, **changes}
        plain = InboxIn.model_construct().model_dump(mode="json")
        return address(
            HOME, **{key: parameters[key] for key in plain if parameters[key] != plain[key]}
        )


class NewerIn(Inputs):
    """Since when."""

    since_ms: int = Field(ge=0, le=10**14, description="the newest anomaly that is shown already")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the inbox."""

    event: AnomalyRow
    spark: Sparkline
    triage: TriageRow


@blueprint.route("/", access=PUBLIC, methods=["GET"], has_own_transactions=True)
def start() -> Response:
    """Redirect the bare address to the pages."""
    return make_response(redirect(HOME))


@blueprint.route(HOME, inputs=InboxIn, access=USER, methods=["GET"], has_own_transactions=True)
def page(inputs: InboxIn) -> str:
    """Show the anomalies of the org."""
    with transaction(write=False):
        found = _find(inputs, inputs.state, ROWS)
        shown = _shown(inputs, found)
    if not inputs.is_narrowed and not inputs.offset:
        note_seen(found.items)
    return shown


def _shown(inputs: InboxIn, found: Page[Anomaly]) -> str:
    counts = count_by_state(subject().org.id, now())
    newest = list_anomalies(subject().org.id, limit=1).items
    window_words = WINDOWS[inputs.window][2]
    return render_page(
        "dashboard/inbox.html",
        inputs=inputs,
        rows=_rows(found.items),
        page=page_links(
            inputs.offset, len(found.items), found.total, ROWS, lambda at: inputs.url(offset=at)
        ),
        states=_states(inputs, found),
        triages=_triages(inputs, found),
        users=list_assignable(subject().org),
        snoozes=[(length.value, words) for length, words in SNOOZES],
        done=done_of(inputs.done),
        here=inputs.url(offset=inputs.offset),
        severities=SEVERITIES,
        windows=[(value, words) for value, (_, words, _) in WINDOWS.items()],
        metrics_status=metrics_status(counts, now()),
        has_metrics=any(counts.values()),
        window_words=window_words,
        quiet_sentence=_quiet_sentence(counts),
        narrowed_sentence=f"There may be others {window_words}.",
        newest_url=inputs.url(),
        newer_url=address(
            "/ui/newer", since_ms=newest[0].span.started_ms if newest else now_ms() - DAY_MS
        ),
    )


@blueprint.route("/ui/newer", inputs=NewerIn, access=USER, methods=["GET"])
def newer(inputs: NewerIn) -> Response:
    """Return how many anomalies have begun since the newest one that the inbox shows."""
    found = count_anomalies(
        subject().org.id, from_ms=inputs.since_ms + 1, until_ms=now_ms() + DAY_MS
    )
    return jsonify(count=found)


def _find(
    inputs: InboxIn, running: Running, limit: int, triage: str | None = None
) -> Page[Anomaly]:
    length = WINDOWS[inputs.window][0]
    return list_anomalies(
        subject().org.id,
        from_ms=None if length is None else now_ms() - length,
        running=running,
        least_severity=inputs.severity,
        words=inputs.metric.split(),
        also=_filter(inputs, triage or inputs.triage).conditions(),
        limit=limit,
        offset=inputs.offset if limit else 0,
    )


def _filter(inputs: InboxIn, triage: str) -> TriageFilter:
    statuses, snoozed = _TRIAGES[triage]
    assignee_id = None
    if inputs.assignee == "me":
        assignee_id = user_subject().user.id
    elif inputs.assignee:
        assignee_id = 0 if inputs.assignee == "none" else int(inputs.assignee)
    return TriageFilter(statuses=statuses, assignee_id=assignee_id, snoozed=snoozed)


def _triages(inputs: InboxIn, found: Page[Anomaly]) -> list[Choice]:
    return [
        Choice(
            words,
            inputs.url(triage=triage),
            found.total
            if triage == inputs.triage
            else _find(inputs, inputs.state, 0, triage).total,
            triage == inputs.triage,
        )
        for triage, words in TRIAGES
    ]


def _rows(anomalies: list[Anomaly]) -> list[Row]:
    metric_ids = [anomaly.span.metric_id for anomaly in anomalies]
    progresses = find_progress(subject().org.id, metric_ids)
    triages = described([anomaly.id for anomaly in anomalies])
    return [
        _row(anomaly, progresses.get(anomaly.span.metric_id), triages[anomaly.id])
        for anomaly in anomalies
    ]


def _row(anomaly: Anomaly, progress: Progress | None, triage: TriageDescription) -> Row:
    return Row(
        anomaly_row_of(anomaly, progress),
        sparkline_of_anomaly(anomaly.span, progress, app_state().points),
        triage_row_of(triage, user_subject().user.id),
    )


def _states(inputs: InboxIn, found: Page[Anomaly]) -> list[Choice]:
    totals = {inputs.state: found.total}
    for state in (Running.OPEN, Running.ALL, Running.TRAINED, Running.MATCHED):
        if state not in totals:
            totals[state] = _find(inputs, state, 0).total
    totals.setdefault(Running.ENDED, totals[Running.ALL] - totals[Running.OPEN])
    return [
        Choice(words, inputs.url(state=state.value), totals[state], state is inputs.state)
        for state, words in STATES
    ]


def _quiet_sentence(counts: dict[State, int]) -> str:
    total = sum(counts.values())
    watched = f"{thousands(total)} metric{'' if total == 1 else 's'} watched"
    return f"{watched}, {thousands(counts[State.LEARNING])} learning."
