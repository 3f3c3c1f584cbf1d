"""The parts of a metric's page that change with its window and with what is selected in it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from anomify.anomaly.charts import anomaly_image_url
from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly, list_anomalies
from anomify.auth.subject import subject
from anomify.clock import now
from anomify.dashboard.anomaly_row import AnomalyRow, anomaly_row_of, window_around
from anomify.dashboard.layout import local_moment
from anomify.dashboard.match_row import MatchRow, match_rows, window_of_match
from anomify.dashboard.pattern_row import PatternRow, pattern_rows, window_of_excursion
from anomify.dashboard.training_part import TrainingPart, training_part_of
from anomify.dashboard.triage_part import TriagePart, triage_part_of
from anomify.dashboard.wording import thousands, within_sentence
from anomify.detection.alarm_history_summary import AlarmHistorySummary
from anomify.edge.app_state import app_state
from anomify.errors import NotFound
from anomify.match.model import Match
from anomify.match.queries import get_match, list_matches
from anomify.metric.alarm_history import (
    alarm_history_sentence,
    find_alarm_history,
    seen_lately_sentence,
)
from anomify.metric.model import Progress
from anomify.metric.status import MetricStatus
from anomify.metric.young import young_until_ms
from anomify.pattern.groups import list_pattern_groups
from anomify.pattern.model import Pattern, PatternState
from anomify.pattern.queries import get_pattern

MOST_EVENTS: Final = 200
MOST_PATTERNS: Final = 10


@dataclass(frozen=True, slots=True)
class Selected:
    """What is selected on the page of a metric: an anomaly, a match, a pattern, or nothing."""

    anomaly: Anomaly | None = None
    match: Match | None = None
    pattern: Pattern | None = None

    def window_ms(self, progress: Progress | None) -> tuple[int, int] | None:
        """Return the window in which it is shown, unix milliseconds; None where nothing is."""
        if self.anomaly is not None:
            step_ms = progress.resolution_ms if progress else None
            return window_around(self.anomaly.span, step_ms)
        if self.match is not None:
            return window_of_match(self.match, progress)
        return None if self.pattern is None else window_of_excursion(self.pattern)


@dataclass(frozen=True, slots=True)
class Links:
    """How the parts lead to the page with something else selected.

    `url(event=3)` is the address with that anomaly selected. `asks` is whether the question about
    the selected anomaly is open.
    """

    url: Callable[..., str]
    asks: bool


@dataclass(frozen=True, slots=True)
class EventRow:
    """An anomaly in the list below the chart."""

    event: AnomalyRow
    is_selected: bool
    url: str


@dataclass(frozen=True, slots=True)
class Events:
    """The anomalies of the window."""

    rows: tuple[EventRow, ...]
    total: int
    words: str


@dataclass(frozen=True, slots=True)
class MatchEventRow:
    """A match in the list below the chart."""

    match: MatchRow
    is_selected: bool
    url: str


@dataclass(frozen=True, slots=True)
class MatchEvents:
    """The matches of the window."""

    rows: tuple[MatchEventRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PatternsPart:
    """The patterns in use of a metric, the newest first."""

    rows: tuple[PatternRow, ...]
    total: int


def find_selected(
    status: MetricStatus, anomaly_id: int | None, match_id: int | None, pattern_id: int | None
) -> Selected:
    """Return the first of these that is an anomaly, match or pattern of the metric."""
    org_id, metric_id = subject().org.id, status.metric.id
    with suppress(NotFound):
        anomaly = None if anomaly_id is None else get_anomaly(org_id, anomaly_id)
        if anomaly is not None and anomaly.span.metric_id == metric_id:
            return Selected(anomaly=anomaly)
    with suppress(NotFound):
        match = None if match_id is None else get_match(org_id, match_id)
        if match is not None and match.metric_id == metric_id:
            return Selected(match=match)
    with suppress(NotFound):
        pattern = None if pattern_id is None else get_pattern(org_id, pattern_id)
        if pattern is not None and pattern.metric_id == metric_id:
            return Selected(pattern=pattern)
    return Selected()


def parts_of(
    status: MetricStatus, selected: Selected, window: tuple[int, int], links: Links
) -> dict[str, object]:
    """Return what the templates of the parts show."""
    at = now()
    young_ms = young_until_ms(status, at)
    # Of a new metric its age lowers alerts more, and the status says so.
    history = None if young_ms is not None else find_alarm_history(status, at)
    anomaly = selected.anomaly
    return {
        "status": status,
        "young_until": None if young_ms is None else within_sentence(local_moment(young_ms)),
        "alarm_history": alarm_history_sentence(history),
        "events": _events(status, anomaly, window, links),
        "match_events": _match_events(status, selected.match, window, links),
        "patterns": _patterns(status),
        "selected": anomaly_row_of(anomaly, status.progress) if anomaly else None,
        "selected_match": (
            match_rows([selected.match], has_sparks=False)[0] if selected.match else None
        ),
        "selected_pattern": pattern_rows([selected.pattern])[0] if selected.pattern else None,
        "training": _training(status, anomaly, links),
        "triage": _triage(anomaly, links),
        "seen_lately": _seen_lately(history, anomaly),
        "picture": (
            anomaly_image_url(app_state().settings, subject().org, anomaly) if anomaly else None
        ),
    }


def _events(
    status: MetricStatus, selected: Anomaly | None, window: tuple[int, int], links: Links
) -> Events:
    found = list_anomalies(
        subject().org.id,
        metric_id=status.metric.id,
        from_ms=window[0],
        until_ms=window[1],
        limit=MOST_EVENTS,
    )
    rows = tuple(
        EventRow(
            anomaly_row_of(anomaly, status.progress),
            selected is not None and anomaly.id == selected.id,
            links.url(event=anomaly.id),
        )
        for anomaly in found.items
    )
    missing = ""
    if app_state().points.missing(status.metric.id, *window):
        missing = "; some stored points cannot be read; the operator of this server can see why"
    shown = f", the newest {MOST_EVENTS} are listed" if found.total > len(rows) else ""
    return Events(rows, found.total, f"{thousands(found.total)} in this window{shown}{missing}")


def _match_events(
    status: MetricStatus, selected: Match | None, window: tuple[int, int], links: Links
) -> MatchEvents:
    found = list_matches(
        subject().org.id,
        metric_id=status.metric.id,
        from_ms=window[0],
        until_ms=window[1],
        limit=MOST_EVENTS,
    )
    rows = tuple(
        MatchEventRow(row, selected is not None and row.id == selected.id, links.url(match=row.id))
        for row in match_rows(found.items, has_sparks=False)
    )
    return MatchEvents(rows, found.total)


def _patterns(status: MetricStatus) -> PatternsPart:
    found = list_pattern_groups(
        subject().org.id,
        metric_id=status.metric.id,
        states=(PatternState.ACTIVE,),
        limit=MOST_PATTERNS,
    )
    return PatternsPart(tuple(pattern_rows(found.items)), found.total)


def _training(status: MetricStatus, anomaly: Anomaly | None, links: Links) -> TrainingPart | None:
    if anomaly is None:
        return None
    return training_part_of(anomaly, status.progress, is_open=links.asks)


def _triage(anomaly: Anomaly | None, links: Links) -> TriagePart | None:
    return None if anomaly is None else triage_part_of(anomaly, links.url(event=anomaly.id))


def _seen_lately(history: AlarmHistorySummary | None, selected: Anomaly | None) -> str:
    if selected is None:
        return ""
    span = selected.span
    return seen_lately_sentence(
        history,
        span.severity,
        is_above=span.value > span.expected_upper,
        is_below=span.value < span.expected_lower,
    )
