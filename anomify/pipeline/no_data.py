"""Anomalies of metrics that stop reporting: opened when points are overdue, until some come."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.queries import open_spans, open_threshold_spans
from anomify.anomaly.recording import Observation, close_anomaly, open_anomaly
from anomify.clock import to_ms
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain_silence
from anomify.detection.threshold import THRESHOLDS, Severity, display_score
from anomify.match.recording import close_matches_of
from anomify.metric.model import Progress
from anomify.metric.queries import metric_of_any_org
from anomify.pipeline.announce import Notifier

SEVERITY = Severity.MEDIUM
"""How severe it is that no data comes: there may be an incident that the data cannot show."""


@dataclass(frozen=True, slots=True)
class OverdueMetric:
    """A metric that should have reported by now; times in milliseconds since the epoch."""

    metric_id: int
    last_ms: int
    last_value: float
    step_ms: int

    @classmethod
    def of(cls, progress: Progress) -> "OverdueMetric":
        """Return the overdue metric with this progress."""
        return cls(
            progress.metric_id,
            progress.judged_until_ms,
            progress.last_value,
            progress.resolution_ms,
        )

    def observation(self, at_ms: int) -> Observation:
        """Return what is recorded of it at that moment; every value would have been expected."""
        silent_seconds = (at_ms - self.last_ms) / 1000
        alert = THRESHOLDS[SEVERITY]
        return Observation(
            # When the first missing point was due.
            time_ms=self.last_ms + max(self.step_ms, 1),
            value=self.last_value,
            expected_lower=-math.inf,
            expected_upper=math.inf,
            score=float(display_score(np.array([alert], np.float32))[0]),
            alert=alert,
            severity=SEVERITY.name.lower(),
            evidence=Evidence.SILENT.name.lower(),
            explanation=explain_silence(self.step_ms / 1000),
            amount=silent_seconds,
            since_ms=self.last_ms,
            is_silence=True,
        )


def open_no_data(overdue: Iterable[Progress], notifier: Notifier) -> None:
    """Open and announce an anomaly for each metric that should have reported.

    Those that fall silent together are one incident, however many they are.
    """
    at_ms = to_ms(notifier.at)
    for progress in overdue:
        metric = metric_of_any_org(progress.metric_id)
        span = open_anomaly(metric, OverdueMetric.of(progress).observation(at_ms))
        span.last_over_ms = max(at_ms, span.started_ms)
        notifier.opened(span)


def close_no_data_of(metric_ids: Iterable[int], notifier: Notifier) -> None:
    """Close the no-data anomalies of metrics that are allowed to be silent from now on."""
    for span in open_spans(metric_ids):
        if span.is_silence:
            close_no_data(span, to_ms(notifier.at), notifier)


def close_no_data(span: Span, first_ms: int, notifier: Notifier) -> None:
    """Close the no-data anomaly of a metric that reports again, with points from `first_ms` on."""
    span.last_over_ms = max(span.started_ms, first_ms)
    close_anomaly(span)
    notifier.recovered(span)


def close_all_of_silent(metric_ids: Iterable[int], notifier: Notifier) -> None:
    """Close all open anomalies and matches of metrics that have stopped reporting or have ended."""
    silent = list(metric_ids)
    for span in open_spans(silent):
        close_anomaly(span, by_silence=not span.is_silence)
        notifier.recovered(span)
    for span in open_threshold_spans(silent):
        # A watcher's threshold of silence is over only when a point comes.
        if not span.is_silence:
            close_anomaly(span, by_silence=True)
            notifier.recovered(span)
    close_matches_of(silent)
