"""Screen candidates: return for each what explains it, or that it is anomalous."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from anomify.anomaly.queries import open_spans_of_excluded
from anomify.anomaly.recording import close_anomaly
from anomify.clock import now
from anomify.delivery.notify import notify
from anomify.exclusion.queries import changes_so_far, exclusions_of_metrics
from anomify.incident.queries import incidents_with
from anomify.match.model import Match
from anomify.match.queries import list_metrics_with_open_matches, open_matches
from anomify.match.recording import close_matches_of_excluded
from anomify.pattern.in_reach import PatternsInReach
from anomify.pattern.matching import KnownPatterns
from anomify.pattern.points import context_ms, judged_series
from anomify.pipeline.candidates import Candidate
from anomify.pipeline.explainer import Explainer, KnownPoints, ended_after_ms
from anomify.pipeline.verdict import Anomalous, Excluded, ScreenResult
from anomify.series import Bools, Int64s, Series, lengthened

_UNKNOWN = -1
_NOT_EXCLUDED = 0
# The value of `changes_so_far` where no exclusion was ever made.
_NO_CHANGES = (0, 0)


class SeriesReader(Protocol):
    """The stored points of metrics, those that are not sealed yet included."""

    def read(self, from_ms: Mapping[int, int]) -> dict[int, Series]:
        """Return the points of each metric id from its time on; one without any is missing."""
        ...


class NoPoints:
    """Has no points: what a pattern explains is then found by the points of a tick alone."""

    def read(self, from_ms: Mapping[int, int]) -> dict[int, Series]:
        """Return nothing."""
        del from_ms
        return {}


class Screen:
    """Screens metrics by the exclusion rules as of the last `reload`; for use by one thread.

    A metric is looked up when its first point comes, and again when rules have changed: a tick in
    which nothing changed costs one small query, whatever the number of metrics. All methods only
    read, inside a unit of work, so that they can run before a write transaction.
    """

    def __init__(self) -> None:
        """Start with an empty cache; call `reload` before the first question."""
        self._changes = _NO_CHANGES
        # By metric id: the id of the rule that excludes it, _NOT_EXCLUDED or _UNKNOWN.
        self._excluded_by = np.zeros(0, np.int64)

    def reload(self) -> bool:
        """Drop the cache if rules have changed since the last call; return whether they have."""
        changes = changes_so_far()
        if changes == self._changes:
            return False
        self._changes = changes
        self._excluded_by[:] = _UNKNOWN
        return True

    def screen(self, metric_ids: Iterable[int]) -> list[ScreenResult]:
        """Return for the candidate of each of these metrics what explains it.

        The first explanation counts; a candidate that has none is anomalous.
        """
        rules = self._rules_of(np.fromiter(metric_ids, np.int64)).tolist()
        return [Anomalous() if rule == _NOT_EXCLUDED else Excluded(rule) for rule in rules]

    def are_excluded(self, metric_ids: Int64s) -> Bools:
        """Return for each of the metrics whether a rule excludes it: its points are not judged."""
        excluded: Bools = self._rules_of(metric_ids) != _NOT_EXCLUDED
        return excluded

    def _rules_of(self, metric_ids: Int64s) -> Int64s:
        """Return for each of the metrics the id of the rule that excludes it, or _NOT_EXCLUDED."""
        if self._changes == _NO_CHANGES:
            return np.full(len(metric_ids), _NOT_EXCLUDED, np.int64)
        self._excluded_by = lengthened(
            self._excluded_by, int(metric_ids.max(initial=0)) + 1, _UNKNOWN
        )
        unknown = np.unique(metric_ids[self._excluded_by[metric_ids] == _UNKNOWN])
        self._excluded_by[unknown] = _NOT_EXCLUDED
        found = exclusions_of_metrics(unknown.tolist())
        self._excluded_by[list(found)] = list(found.values())
        rules: Int64s = self._excluded_by[metric_ids]
        return rules


class PatternScreen:
    """Finds the patterns that may explain candidates, as of the last `reload`; for one thread.

    Only metrics with patterns in reach cost anything. All methods only read, inside a unit of work.
    """

    def __init__(self, points: SeriesReader | None = None) -> None:
        """Start without any pattern; call `reload` before the first question."""
        self.known = KnownPatterns()
        self._points = points or NoPoints()

    def reload(self) -> bool:
        """Drop what is in memory if patterns have changed; return whether they have."""
        return self.known.reload()

    def metrics_with_open_matches(self, metric_ids: Iterable[int]) -> list[int]:
        """Return those of these metrics that have an open match."""
        if not self.known.has_changed_ever:
            return []
        return list_metrics_with_open_matches(metric_ids)

    def explainers_of(self, candidates: Sequence[Candidate]) -> dict[int, Explainer]:
        """Return what explains the excursions of each candidate that patterns may explain."""
        if not self.known.has_changed_ever or not candidates:
            return {}
        ids = [candidate.metric_id for candidate in candidates]
        matches = {match.metric_id: match for match in open_matches(ids)}
        in_reach = self.known.of_metrics(ids)
        needed = [
            candidate
            for candidate in candidates
            if candidate.metric_id in matches
            or (candidate.metric_id in in_reach and candidate.opens_at_ms is not None)
        ]
        from_ms = {
            candidate.metric_id: _needed_from(
                candidate, matches.get(candidate.metric_id), in_reach.get(candidate.metric_id)
            )
            for candidate in needed
        }
        stored = self._points.read(from_ms) if from_ms else {}
        explainers = {
            candidate.metric_id: _explainer(
                candidate, in_reach.get(candidate.metric_id), stored.get(candidate.metric_id)
            )
            for candidate in needed
        }
        for candidate in needed:
            if candidate.metric_id not in matches:
                explainers[candidate.metric_id].prepare(candidate.point_verdicts())
        return explainers


def _needed_from(
    candidate: Candidate, match: Match | None, in_reach: PatternsInReach | None
) -> int:
    """Return from when on points are needed to explain the excursions of a candidate."""
    first_ms = candidate.opens_at_ms if match is None else match.started_ms
    if first_ms is None:
        first_ms = int(candidate.times[candidate.rows[0]])
    from_ms = first_ms - context_ms(candidate.step_ms)
    if in_reach is None:
        return from_ms
    ended_ms = ended_after_ms(candidate.step_ms, candidate.closing_ms)
    return from_ms - in_reach.looked_back_ms(ended_ms)


def _explainer(
    candidate: Candidate, in_reach: PatternsInReach | None, stored: Series | None
) -> Explainer:
    times = candidate.times[candidate.rows]
    values = candidate.verdicts.values[candidate.rows]
    if stored is not None and len(times):
        judged = judged_series(stored, is_counter=candidate.is_counter)
        before = judged.times < times[0]
        times = np.concatenate([judged.times[before], times])
        values = np.concatenate([judged.values[before], values])
    return Explainer(
        in_reach,
        KnownPoints(times, values),
        step_ms=candidate.step_ms,
        closing_ms=candidate.closing_ms,
        unit=candidate.unit,
    )


def close_excluded() -> None:
    """Close the open anomalies of metrics that are excluded now.

    Their values did not return to normal: what was told of them is told as over with that reason,
    and what waits to be sent is withdrawn.
    """
    spans = open_spans_of_excluded()
    for span in spans:
        close_anomaly(span)
    notify([each.id for each in incidents_with(span.anomaly_id for span in spans)], now())
    close_matches_of_excluded()
