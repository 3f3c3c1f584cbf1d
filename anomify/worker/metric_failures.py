"""Metrics for which judging, sealing or rebuilding fails: counted, and isolated after several."""

import logging

from anomify.clock import now
from anomify.db import Database
from anomify.metric.failing import isolated_ids, record_failure

log = logging.getLogger(__name__)


class MetricFailures:
    """Records failures of single metrics, and holds the ids of the isolated ones."""

    def __init__(self, database: Database) -> None:
        """Start with no metric isolated; call `reload` inside a unit of work."""
        self._database = database
        self.isolated: frozenset[int] = frozenset()

    def reload(self) -> None:
        """Read which metrics are isolated, inside a unit of work."""
        self.isolated = isolated_ids()

    def record(self, metric_id: int, doing: str, problem: Exception) -> bool:
        """Count a failure of one metric; return whether the metric is isolated now."""
        log.error("%s of metric %d failed", doing, metric_id, exc_info=problem)
        with self._database.unit_of_work():
            is_isolated = record_failure(metric_id, doing, problem, now())
        if is_isolated:
            log.error("metric %d is isolated: its points are kept and not judged", metric_id)
            self.isolated |= {metric_id}
        return is_isolated
