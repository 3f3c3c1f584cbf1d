"""Metrics that people delete while the worker runs: their states, and their stored points."""

import time

import numpy as np

from anomify.clock import now
from anomify.db import Database
from anomify.metric.deleting import DeletedMetrics, list_unsettled, settle_deleted
from anomify.pipeline.score import Scorer
from anomify.series import Bools, Int64s, lengthened
from anomify.storage.chunks import ChunkStore
from anomify.worker.overdue import OverdueTracker

# Deleted metrics whose points one transaction settles, and how long one call may take.
MOST_DROPPED = 100
DROPPING_SECONDS = 0.5


class MetricDeletions:
    """Applies deletions of metrics to what the worker holds in memory and to the stored points."""

    def __init__(
        self, database: Database, chunks: ChunkStore, scorer: Scorer, overdue: OverdueTracker
    ) -> None:
        """Start with no metric known to be deleted; call `apply` before the first question."""
        self._database = database
        self._chunks = chunks
        self._scorer = scorer
        self._overdue = overdue
        self._deleted = DeletedMetrics()
        # By metric id: 1 where it was deleted.
        self._is_deleted = np.zeros(0, np.int64)

    def apply(self) -> None:
        """Drop the states of metrics that were deleted since the last call, and wait for no points.

        May be called inside a unit of work or outside.
        """
        with self._database.unit_of_work(write=False):
            deleted = self._deleted.find_new()
        if deleted:
            ids = np.array(deleted, np.int64)
            self._is_deleted = lengthened(self._is_deleted, int(ids.max()) + 1, 0)
            self._is_deleted[ids] = 1
            self._scorer.unload(np.setdiff1d(ids, self._scorer.not_loaded(ids)).tolist())
            self._overdue.note((metric_id, None) for metric_id in deleted)

    def are_deleted(self, metric_ids: Int64s) -> Bools:
        """Return for each of the metrics whether it was deleted, as of the last `apply`."""
        self._is_deleted = lengthened(self._is_deleted, int(metric_ids.max(initial=0)) + 1, 0)
        deleted: Bools = self._is_deleted[metric_ids] == 1
        return deleted

    def is_deleted(self, metric_id: int) -> bool:
        """Return whether the metric was deleted, as of the last `apply`."""
        return bool(self.are_deleted(np.array([metric_id], np.int64))[0])

    def drop_points(self) -> None:
        """Delete the stored points of deleted metrics, also those that came after the deletion.

        Stops after half a second; the next call continues.
        """
        began = time.monotonic()
        while time.monotonic() - began < DROPPING_SECONDS:
            with self._database.unit_of_work(write=False):
                unsettled = list_unsettled(now(), MOST_DROPPED)
            if not unsettled:
                return
            self.apply()
            self._chunks.forget(unsettled.metric_ids)
            with self._database.unit_of_work():
                settle_deleted(unsettled, now())
