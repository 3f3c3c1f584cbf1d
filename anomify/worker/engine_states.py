"""Load kept engine states into memory, and learn again those that cannot be read."""

import logging
from collections.abc import Iterable

import numpy as np

from anomify.db import Database
from anomify.detection.state import DamagedSnapshotError, EngineSummary, UnreadableSnapshotError
from anomify.metric.state import (
    PARTITIONS,
    dormant_states,
    metrics_of_partition,
    pack_states,
    unpack_states,
)
from anomify.pipeline.rejudge import RELEARN_MS, rejudge
from anomify.pipeline.score import Scorer
from anomify.series import Int64s, lengthened
from anomify.storage.chunks import ChunkStore
from anomify.storage.damaged_items import Kind
from anomify.worker.current_settings import CurrentSettings
from anomify.worker.deletions import MetricDeletions
from anomify.worker.metric_failures import MetricFailures
from anomify.worker.received import LastReceived
from anomify.worker.relearning import Relearning

log = logging.getLogger(__name__)


class EngineStates:
    """Loads and packs the states of the metrics in `scorer`."""

    def __init__(
        self,
        database: Database,
        chunks: ChunkStore,
        scorer: Scorer,
        settings: CurrentSettings,
        deletions: MetricDeletions,
        failures: MetricFailures,
        received: LastReceived,
        relearning: Relearning,
    ) -> None:
        """Start with no state loaded."""
        self._database = database
        self._chunks = chunks
        self._scorer = scorer
        self._settings = settings
        self._deletions = deletions
        self._failures = failures
        self._received = received
        self._relearning = relearning
        # By metric id: 1 once the metric has learnt enough to be judged.
        self._has_learnt = np.zeros(0, np.int64)
        # How many metrics have been learnt again.
        self._learnt_again = 0

    def loaded_of(self, partition: int) -> Int64s:
        """Return the metrics of a partition whose state is loaded, ascending."""
        metric_ids = self._scorer.loaded()
        loaded: Int64s = metric_ids[metric_ids % PARTITIONS == partition]
        return loaded

    def pack(self, metric_ids: Int64s) -> bytes:
        """Return the states of these metrics, as `load_partition` takes them."""
        return pack_states(metric_ids, self._scorer.snapshot_of)

    def load_partition(self, partition: int, states: bytes) -> bool:
        """Load the states that a checkpoint of a partition holds.

        Returns whether any metric was learnt again instead. Not all are loaded where the worker has
        been asked to stop.
        """
        learnt_before = self._learnt_again
        try:
            groups = unpack_states(states)
        except DamagedSnapshotError as problem:
            self._keep_damaged(partition, states, problem)
            with self._database.unit_of_work(write=False):
                metric_ids = np.array(metrics_of_partition(partition), np.int64)
            self._relearning.expect(len(metric_ids))
            self._learn_again(metric_ids, problem)
            if self._relearning.must_stop:
                return False
            # A metric that has no stored point starts with its next one.
            metric_ids = np.setdiff1d(metric_ids, self._scorer.not_loaded(metric_ids))
            groups = [(metric_ids, self._scorer.snapshot_of(metric_ids))]
        for metric_ids, snapshot in groups:
            if len(metric_ids):
                self.load(metric_ids, snapshot)
                self._received.note(metric_ids)
                deleted = metric_ids[self._deletions.are_deleted(metric_ids)]
                self._scorer.unload(deleted.tolist())
            if self._relearning.must_stop:
                break
        has_learnt_again = self._learnt_again > learnt_before
        if has_learnt_again:
            # Their states are kept at once: none of them is new.
            loaded = self.loaded_of(partition)
            self.find_newly_learnt(loaded, self._scorer.summary_of(loaded))
        return has_learnt_again

    def find_dormant(self, metric_ids: Int64s) -> list[tuple[int, bytes]]:
        """Return the kept states of those of the metrics that are dormant; needs a unit of work."""
        return list(dormant_states(self._scorer.not_loaded(metric_ids).tolist()))

    def load_dormant(self, states: Iterable[tuple[int, bytes]]) -> None:
        """Load the states that `find_dormant` returned."""
        for metric_id, state in states:
            self.load(np.array([metric_id], np.int64), state)

    def load(self, metric_ids: Int64s, snapshot: bytes) -> None:
        """Load states; a metric whose state this version cannot read is learnt again."""
        try:
            self._scorer.load(metric_ids, snapshot)
            self.find_newly_learnt(metric_ids, self._scorer.summary_of(metric_ids))
        except UnreadableSnapshotError as problem:
            if isinstance(problem, DamagedSnapshotError):
                self._keep_damaged(int(metric_ids[0]), snapshot, problem)
                self._relearning.expect(len(metric_ids))
            self._learn_again(metric_ids, problem)

    def find_newly_learnt(self, metric_ids: Int64s, summary: EngineSummary) -> Int64s:
        """Return the metrics that have learnt enough to be judged and had not at the last call."""
        self._has_learnt = lengthened(self._has_learnt, int(metric_ids.max(initial=0)) + 1, 0)
        is_new = (summary.seen >= summary.needed) & (self._has_learnt[metric_ids] == 0)
        learnt: Int64s = metric_ids[is_new]
        self._has_learnt[learnt] = 1
        return learnt

    def _learn_again(self, metric_ids: Int64s, problem: Exception) -> None:
        """Judge the stored points of these metrics, until the worker is asked to stop."""
        if isinstance(problem, DamagedSnapshotError):
            log.warning("learning %d metrics again from their points: %s", len(metric_ids), problem)
        newest_of = {newest.metric_id: newest for newest in self._chunks.latest(metric_ids)}
        for metric_id in metric_ids.tolist():
            if self._relearning.must_stop:
                return
            if newest := newest_of.get(metric_id):
                self._learn_metric_again(metric_id, newest.bucket_ms - RELEARN_MS)
            self._learnt_again += 1
            self._relearning.note()

    def _learn_metric_again(self, metric_id: int, since_ms: int) -> None:
        past = self._chunks.read_since(metric_id, since_ms)
        only = np.array([metric_id], np.int64)
        try:
            state = rejudge([past], self._settings.of(metric_id)).state
            self._scorer.load(only, state)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, it is this metric's
            self._failures.record(metric_id, "judging", failure)

    def _keep_damaged(self, subject: int, state: bytes, problem: Exception) -> None:
        self._chunks.damaged_items.add(Kind.STATE, subject, state, str(problem))
