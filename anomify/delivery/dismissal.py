"""Anomalies that a person or an exclusion ended, and not their values: by whom, in words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from anomify.anomaly.model import Span
from anomify.exclusion.queries import exclusions_by_id, exclusions_of_metrics
from anomify.org.model import Org
from anomify.triage.history import who_set_status
from anomify.triage.queries import states_of
from anomify.triage.status import Status

_BECAME: Final = {
    Status.RESOLVED: "was resolved",
    Status.DUPLICATE: "was marked as a duplicate",
    Status.INVALID: "was marked as invalid",
    Status.DISCARDED: "was discarded",
}


def dismissals_of(org: Org, spans: Sequence[Span], closed_at: datetime) -> dict[int, str]:
    """Return what follows the metric's name, by id, for the anomalies that did not end by value.

    These are the ones that people archived while they went on, and those of metrics that a rule
    excludes since before `closed_at`.
    """
    running = [span.anomaly_id for span in spans if span.is_open]
    states = states_of(running) if running else {}
    archived = [anomaly_id for anomaly_id, state in states.items() if state.status.is_archived]
    by = who_set_status(archived) if archived else {}
    found = {}
    for anomaly_id in archived:
        name = by.get(anomaly_id, "")
        found[anomaly_id] = _BECAME[states[anomaly_id].status] + (f" by {name}" if name else "")
    ended = [span for span in spans if _is_ended_by_nothing(span)]
    excluded = exclusions_of_metrics(sorted({span.metric_id for span in ended})) if ended else {}
    rules = exclusions_by_id(org.id, excluded.values())
    for span in ended:
        rule = rules.get(excluded.get(span.metric_id, 0))
        if rule is not None and rule.created_at <= closed_at:
            found[span.anomaly_id] = (
                f"is not judged any more: the exclusion {rule.name} of {rule.created_by} matches it"
            )
    return found


def _is_ended_by_nothing(span: Span) -> bool:
    """Return whether the row of an ended anomaly states no reason but that its value is back."""
    return not (
        span.is_open
        or span.ended_by_silence
        or span.ended_by_pattern_id is not None
        or span.accepted_level is not None
    )
