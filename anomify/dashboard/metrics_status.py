"""The counts of the org's metrics by state, and how far judging is behind."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from anomify.dashboard.page_blueprint import address
from anomify.metric.status import State, duration_in_words
from anomify.org.heartbeat import learning_again_in_words
from anomify.org.queries import list_worker_heartbeats

# The worker records a heartbeat every few seconds; without one for so long it has stopped.
SILENT_AFTER: Final = timedelta(seconds=60)
# A shorter lag is shown as up to date.
UP_TO_DATE_SECONDS: Final = 5
# Shown even when there are none, in this order; the others only when there are some.
_ALWAYS: Final = (State.JUDGED, State.LEARNING, State.STALE)


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many metrics are in a state, and the URL of their list."""

    words: str
    total: int
    url: str


@dataclass(frozen=True, slots=True)
class MetricsStatus:
    """The line above the anomalies."""

    states: tuple[StateCount, ...]
    lag_words: str
    is_fresh: bool


def metrics_status(counts: dict[State, int], at: datetime) -> MetricsStatus:
    """Return the counts of metrics by state, and how far judging is behind at that moment."""
    others = [state for state in State if state not in _ALWAYS and counts[state]]
    states = tuple(
        StateCount(state.value, counts[state], address("/ui/metrics", state=state.value))
        for state in (*_ALWAYS, *others)
    )
    words, is_fresh = _lag(at)
    return MetricsStatus(states, words, is_fresh)


def _lag(at: datetime) -> tuple[str, bool]:
    heartbeats = list_worker_heartbeats()
    if not heartbeats:
        return "Judging has not begun yet", False
    freshest = heartbeats[0]
    silence = at - freshest.beaten_at
    if silence > SILENT_AFTER:
        return (
            f"Judging stopped {duration_in_words(round(silence.total_seconds() * 1000))} ago",
            False,
        )
    if learning := learning_again_in_words(freshest):
        return f"{learning[0].upper()}{learning[1:]}", False
    if freshest.lag_seconds < UP_TO_DATE_SECONDS:
        return "Judging is up to date", True
    return f"Judging is {duration_in_words(round(freshest.lag_seconds * 1000))} behind", False
