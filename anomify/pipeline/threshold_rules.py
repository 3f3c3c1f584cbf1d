"""Which metrics the thresholds of watchers are about, and what came of them in a tick."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import exists, select

from anomify.anomaly.model import Span
from anomify.anomaly.queries import list_metrics_over_thresholds
from anomify.clock import to_ms
from anomify.db import batches, session
from anomify.metric.chip import folded, holding, is_matched
from anomify.metric.model import Metric, Progress
from anomify.pipeline.score import Scored
from anomify.pipeline.screen import SeriesReader
from anomify.series import Bools, Float64s, Int64s
from anomify.watcher.model import Watcher
from anomify.watcher.threshold import Operator, Threshold

# The most points of a metric that are kept to compute functions of.
HISTORY_POINTS_MOST: Final = 5_000
# The most silent metrics of one threshold that are found at once; the next look follows.
SILENT_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """The threshold of one watcher that is on."""

    watcher_id: int
    org_id: int
    threshold: Threshold
    # Folded.
    chips: tuple[str, ...]
    severity: str
    recover_ms: int
    # What had been silent before is no news.
    since_ms: int


@dataclass(frozen=True, slots=True)
class NewPoints:
    """The points of a metric that a tick brought, after those that its thresholds need."""

    metric_id: int
    times: Int64s
    values: Float64s
    # Where the new ones begin.
    first: int
    rules: tuple[ThresholdRule, ...]


@dataclass(frozen=True, slots=True)
class MetricWithoutPoints:
    """A metric from which nothing has come for as long as a watcher allows."""

    metric_id: int
    last_ms: int
    last_value: float


class ThresholdRules:
    """The thresholds in force as of the last `reload`, and the metrics of each.

    For use by one thread. A metric's name is compared when its first point comes, and again when a
    threshold has changed. A tick costs nothing for metrics without one.
    """

    def __init__(self, points: SeriesReader) -> None:
        """Read earlier points from there."""
        self._points = points
        self.by_watcher: dict[int, ThresholdRule] = {}
        self._of_metric: dict[int, tuple[ThresholdRule, ...]] = {}
        self._history: dict[int, tuple[Int64s, Float64s]] = {}
        # By metric id: whether its rules are in `_of_metric`, beyond which values a single point is
        # over a threshold, and whether any rule needs more than a comparison of single points.
        self._is_known = np.zeros(0, bool)
        self._above = np.zeros(0, np.float64)
        self._below = np.zeros(0, np.float64)
        self._needs_history = np.zeros(0, bool)

    def reload(self) -> bool:
        """Read the thresholds that are in force; return whether any has changed.

        Call it in a unit of work.
        """
        rules = {rule.watcher_id: rule for rule in _rules_in_force()}
        if rules == self.by_watcher:
            return False
        self.by_watcher = rules
        self._of_metric.clear()
        self._history.clear()
        self._is_known[:] = False
        return True

    def of(self, metric_id: int) -> tuple[ThresholdRule, ...]:
        """Return the thresholds of a metric; call it in a unit of work."""
        self._learn(np.array([metric_id], np.int64))
        return self._of_metric.get(metric_id, ())

    def find(self, scored: Scored) -> list[NewPoints]:
        """Return the metrics of a tick that are over a threshold, or may be. This only reads."""
        if not self.by_watcher or not len(scored.metric_ids):
            return []
        self._learn(scored.metric_ids)
        rows_ids, values = scored.points.metric_ids, scored.points.values
        is_over = (values > self._above[rows_ids]) | (values < self._below[rows_ids])
        is_over |= self._needs_history[rows_ids]
        is_over &= ~scored.is_late
        concerned = set(np.unique(rows_ids[is_over]).tolist())
        watched = [each for each in scored.metric_ids.tolist() if each in self._of_metric]
        concerned.update(list_metrics_over_thresholds(watched))
        return [
            found
            for place, metric_id in enumerate(scored.metric_ids.tolist())
            if metric_id in concerned
            and (found := self._new_points(scored, place, metric_id)) is not None
        ]

    def find_silent(self, at_ms: int) -> list[tuple[ThresholdRule, MetricWithoutPoints]]:
        """Return the metrics whose last point is older than a threshold of silence allows.

        Those that were silent already when the threshold was set are left out, and so are those of
        which an anomaly is open because of it. Call it in a unit of work.
        """
        found = []
        for rule in self.by_watcher.values():
            if rule.threshold.operator is not Operator.NO_DATA:
                continue
            wait_ms = round(1000 * rule.threshold.value)
            is_told = exists().where(
                Span.metric_id == Metric.id,
                Span.watcher_id == rule.watcher_id,
                Span.is_open.is_(True),
            )
            rows = session().execute(
                select(Progress.metric_id, Progress.judged_until_ms, Progress.last_value)
                .join(Metric, Metric.id == Progress.metric_id)
                .where(
                    Metric.org_id == rule.org_id,
                    Metric.excluded_by.is_(None),
                    Progress.judged_until_ms <= at_ms - wait_ms,
                    Progress.judged_until_ms >= rule.since_ms - wait_ms,
                    *holding(rule.chips),
                    ~is_told,
                )
                .order_by(Progress.metric_id)
                .limit(SILENT_MOST)
            )
            found += [(rule, MetricWithoutPoints(*row)) for row in rows]
        return found

    def note(self, found: Iterable[NewPoints]) -> None:
        """Keep the points of a tick that was recorded, for the functions of later points."""
        for each in found:
            if self._needs_history[each.metric_id]:
                self._history[each.metric_id] = each.times, each.values

    def _new_points(self, scored: Scored, place: int, metric_id: int) -> NewPoints | None:
        rows = slice(scored.starts[place], scored.starts[place + 1])
        is_new: Bools = ~scored.is_late[rows]
        times, values = scored.points.times[rows][is_new], scored.points.values[rows][is_new]
        if not len(times):
            return None
        rules = self._of_metric.get(metric_id, ())
        if not self._needs_history[metric_id]:
            return NewPoints(metric_id, times, values, 0, rules)
        step_ms = int(np.median(np.diff(times))) if len(times) > 1 else 60_000
        needed_ms = max(rule.threshold.history_ms(max(step_ms, 60_000)) for rule in rules)
        if metric_id not in self._history:
            found = self._points.read({metric_id: int(times[0]) - needed_ms}).get(metric_id)
            if found is not None:
                self._history[metric_id] = found.times, found.values
        old_times, old_values = self._history.get(metric_id, _NOTHING)
        before = old_times < times[0]
        before &= old_times >= times[0] - needed_ms
        old_times = old_times[before][-HISTORY_POINTS_MOST:]
        old_values = old_values[before][-HISTORY_POINTS_MOST:]
        return NewPoints(
            metric_id,
            np.concatenate([old_times, times]),
            np.concatenate([old_values, values]),
            len(old_times),
            rules,
        )

    def _learn(self, metric_ids: Int64s) -> None:
        size = int(metric_ids.max(initial=0)) + 1
        if size > len(self._is_known):
            self._lengthen(2 * size)
        unknown = metric_ids[~self._is_known[metric_ids]]
        if not len(unknown):
            return
        self._is_known[unknown] = True
        self._above[unknown], self._below[unknown] = np.inf, -np.inf
        self._needs_history[unknown] = False
        by_org: dict[int, list[ThresholdRule]] = {}
        for rule in self.by_watcher.values():
            by_org.setdefault(rule.org_id, []).append(rule)
        for some in batches(unknown.tolist()):
            rows = session().execute(
                select(Metric.id, Metric.org_id, Metric.folded_name).where(
                    Metric.id.in_(some), Metric.org_id.in_(list(by_org))
                )
            )
            for metric_id, org_id, name in rows:
                rules = tuple(rule for rule in by_org[org_id] if is_matched(rule.chips, name))
                if rules:
                    self._of_metric[metric_id] = rules
                    self._take(metric_id, rules)

    def _lengthen(self, size: int) -> None:
        added = size - len(self._is_known)
        self._is_known = np.append(self._is_known, np.zeros(added, bool))
        self._needs_history = np.append(self._needs_history, np.zeros(added, bool))
        self._above = np.append(self._above, np.full(added, np.inf))
        self._below = np.append(self._below, np.full(added, -np.inf))

    def _take(self, metric_id: int, rules: tuple[ThresholdRule, ...]) -> None:
        for rule in rules:
            threshold = rule.threshold
            if threshold.operator is Operator.NO_DATA:
                continue
            if not threshold.is_of_single_points:
                self._needs_history[metric_id] = True
            elif threshold.operator is Operator.GREATER:
                self._above[metric_id] = min(self._above[metric_id], threshold.value)
            else:
                self._below[metric_id] = max(self._below[metric_id], threshold.value)


_NOTHING: Final = np.zeros(0, np.int64), np.zeros(0, np.float64)


def _rules_in_force() -> Iterable[ThresholdRule]:
    rows = session().scalars(
        select(Watcher)
        .where(
            Watcher.threshold_operator.is_not(None),
            Watcher.is_alerting.is_(True),
            Watcher.deleted_at.is_(None),
        )
        .order_by(Watcher.id)
    )
    for watcher in rows:
        threshold = Threshold.of(watcher)
        if threshold is not None:
            yield ThresholdRule(
                watcher.id,
                watcher.org_id,
                threshold,
                folded(watcher.chips),
                watcher.severity,
                1000 * watcher.recover_seconds,
                0 if watcher.threshold_since is None else to_ms(watcher.threshold_since),
            )
