"""Find the metrics of each org that have stopped reporting: all, or some while others report."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.admin_alert.queries import read_progress
from anomify.series import Bools, Int64s, lengthened

# A metric counts as reporting only if its points are at most this old when they arrive: older ones
# are a back-fill, after which no more points can be expected.
FRESH_MS: Final = 3_600_000
# A metric that was silent for this long before the worker started is not expected to report.
DAY_MS: Final = 86_400_000
# If two calls are further apart than this, the worker was not running in between.
PAUSE_MS: Final = 300_000
NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class StoppedMetric:
    """A metric that should have reported by now."""

    metric_id: int
    # When its last point arrived, by the server's clock.
    since_ms: int
    # The timestamp of its last point.
    last_ms: int


@dataclass(frozen=True, slots=True)
class StoppedMetrics:
    """The metrics of one org that have stopped reporting."""

    org_id: int
    metrics: tuple[StoppedMetric, ...]
    # Whether no metric of the org reports.
    is_all: bool


@dataclass(frozen=True, slots=True)
class ReportingWait:
    """How long an org's metrics must be silent before an alert is raised, in milliseconds."""

    all_ms: int
    some_ms: int


# Returns the waits of the given orgs by org id.
WaitsOf = Callable[[Iterable[int]], dict[int, ReportingWait]]


@dataclass(frozen=True, slots=True)
class _Metrics:
    """The metrics judged so far as parallel arrays, in order of their org."""

    ids: Int64s
    orgs: Int64s
    # The timestamp of the newest judged point.
    last_ms: Int64s
    # The silence after which the metric is stale.
    stale_after_ms: Int64s
    # From this time on silence is an anomaly of the metric; 0 where it never is.
    silent_from_ms: Int64s
    # False for metrics that have never been regular, have ended or may be silent.
    must_report: Bools

    def only(self, selected: Bools) -> "_Metrics":
        return _Metrics(
            self.ids[selected],
            self.orgs[selected],
            self.last_ms[selected],
            self.stale_after_ms[selected],
            self.silent_from_ms[selected],
            self.must_report[selected],
        )


class ReportingTracker:
    """Remember when each metric last reported, by the server's clock, and find those that stopped.

    Only silence while the worker runs counts. After a start of the worker, and after a pause of
    more than `PAUSE_MS` between two calls, every metric has its whole wait again. Used by one
    thread.
    """

    def __init__(self, worker_ran_until_ms: int) -> None:
        """Start without any metric; a worker last ran at `worker_ran_until_ms` (unix ms)."""
        self._worker_ran_until_ms = worker_ran_until_ms
        self._checked_at_ms = NEVER
        # By metric id: the timestamp of the last point, and when it arrived.
        self._last_ms = np.zeros(0, np.int64)
        self._arrived_ms = np.zeros(0, np.int64)
        # By metric id: 1 where the metric is expected to report, else 0.
        self._is_expected = np.zeros(0, np.int64)
        # The orgs of which no metric reported at the last call.
        self._silent_orgs: set[int] = set()

    def find_stopped(self, at_ms: int, waits_of: WaitsOf) -> list[StoppedMetrics]:
        """Note what has arrived since the last call; return what has stopped. Reads only."""
        metrics = _read_metrics()
        self._note_arrivals(metrics, at_ms)
        expected = metrics.only((self._is_expected[metrics.ids] == 1) & metrics.must_report)
        if not len(expected.ids):
            return []
        # Not all have stopped while one that need not report does.
        reporting = metrics.only(self._is_expected[metrics.ids] == 1)
        return self._stopped(expected, reporting, at_ms, waits_of)

    def stop_expecting(self, metric_ids: Iterable[int]) -> None:
        """Do not expect these metrics to report until they next do."""
        self._is_expected[list(metric_ids)] = 0

    def _note_arrivals(self, metrics: _Metrics, at_ms: int) -> None:
        length = int(metrics.ids.max(initial=0)) + 1
        self._last_ms = lengthened(self._last_ms, length, NEVER)
        self._arrived_ms = lengthened(self._arrived_ms, length, NEVER)
        self._is_expected = lengthened(self._is_expected, length, 0)
        is_first_call = self._checked_at_ms == NEVER
        has_reported = self._last_ms[metrics.ids] != metrics.last_ms
        reported = metrics.ids[has_reported]
        self._arrived_ms[reported] = at_ms
        if is_first_call:
            since_ms = min(self._worker_ran_until_ms, at_ms) - DAY_MS
            self._is_expected[metrics.ids] = metrics.last_ms >= since_ms
        else:
            is_fresh = metrics.last_ms >= at_ms - FRESH_MS - metrics.stale_after_ms
            self._is_expected[reported] = is_fresh[has_reported]
            if at_ms - self._checked_at_ms > PAUSE_MS:
                self._arrived_ms[metrics.ids] = at_ms
        self._last_ms[metrics.ids] = metrics.last_ms
        self._checked_at_ms = at_ms
        # When one metric of a silent org reports again, the others get their whole wait again.
        reporting_again = self._silent_orgs & set(metrics.orgs[has_reported].tolist())
        self._arrived_ms[metrics.ids[np.isin(metrics.orgs, list(reporting_again))]] = at_ms

    def _stopped(
        self, metrics: _Metrics, reporting: _Metrics, at_ms: int, waits_of: WaitsOf
    ) -> list[StoppedMetrics]:
        orgs, starts, org_index = np.unique(metrics.orgs, return_index=True, return_inverse=True)
        waits = waits_of(orgs.tolist())
        wait_all = np.array([waits[org_id].all_ms for org_id in orgs.tolist()], np.int64)
        wait_some = np.array([waits[org_id].some_ms for org_id in orgs.tolist()], np.int64)
        arrived = self._arrived_ms[metrics.ids]
        newest = np.full(len(orgs), NEVER)
        of_these = np.isin(reporting.orgs, orgs)
        places = np.searchsorted(orgs, reporting.orgs[of_these])
        np.maximum.at(newest, places, self._arrived_ms[reporting.ids[of_these]])
        shortest_gap = np.minimum.reduceat(metrics.stale_after_ms, starts)
        is_org_silent = at_ms > newest + np.maximum(wait_all, shortest_gap)
        self._silent_orgs = set(orgs[is_org_silent].tolist())
        due = np.maximum(
            arrived + np.maximum(wait_some[org_index], metrics.stale_after_ms),
            metrics.silent_from_ms,
        )
        # A metric has stopped alone only if another metric of the org reported after it was due.
        has_stopped_alone = (at_ms > due) & (newest[org_index] > due)
        has_stopped = is_org_silent[org_index] | has_stopped_alone
        found: dict[int, list[StoppedMetric]] = {}
        for row in np.flatnonzero(has_stopped):
            found.setdefault(int(metrics.orgs[row]), []).append(
                StoppedMetric(int(metrics.ids[row]), int(arrived[row]), int(metrics.last_ms[row]))
            )
        return [
            StoppedMetrics(org_id, tuple(stopped), org_id in self._silent_orgs)
            for org_id, stopped in found.items()
        ]


def _read_metrics() -> _Metrics:
    columns = list(zip(*read_progress(), strict=True)) or [()] * 6
    ids, orgs, last_ms, stale_after_ms, silent_from_ms, must_report = columns
    return _Metrics(
        np.array(ids, np.int64),
        np.array(orgs, np.int64),
        np.array(last_ms, np.int64),
        np.array(stale_after_ms, np.int64),
        np.array([time_ms or 0 for time_ms in silent_from_ms], np.int64),
        np.array(must_report, bool),
    )
