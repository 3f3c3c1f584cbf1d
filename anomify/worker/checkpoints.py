"""Seal judged points into chunks and keep the engine states, partition by partition."""

import logging
from collections.abc import Iterable

import numpy as np

from anomify.clock import now, now_ms
from anomify.db import Database
from anomify.metric.failing import NOT_OF_ONE_METRIC
from anomify.metric.judged_batches import prune_judged
from anomify.metric.model import Checkpoint
from anomify.metric.state import PARTITIONS, drop_dormant, keep_checkpoint, keep_dormant
from anomify.pipeline.score import Scorer
from anomify.series import Int64s
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import PointLog
from anomify.worker.deletions import MetricDeletions
from anomify.worker.engine_states import EngineStates
from anomify.worker.metric_failures import MetricFailures
from anomify.worker.received import LastReceived
from anomify.worker.relearning import Relearning
from anomify.worker.unsealed import Tick, Unsealed
from anomify.worker.writing import write

# The state of a metric that was silent for a day leaves memory; it is kept in the database until
# the next point comes.
DORMANT_AFTER_MS = 86_400_000

log = logging.getLogger(__name__)


class Checkpoints:
    """Keeps what was judged, so that a restart replays the log from the last checkpoints only."""

    def __init__(
        self,
        database: Database,
        points_log: PointLog,
        chunks: ChunkStore,
        scorer: Scorer,
        states: EngineStates,
        unsealed: Unsealed,
        deletions: MetricDeletions,
        failures: MetricFailures,
        received: LastReceived,
        relearning: Relearning,
    ) -> None:
        """Start with no partition kept."""
        self._database = database
        self._log = points_log
        self._chunks = chunks
        self._scorer = scorer
        self._states = states
        self._unsealed = unsealed
        self._deletions = deletions
        self._failures = failures
        self._received = received
        self._relearning = relearning
        # The log offset through which each partition is sealed and its states are kept.
        self.offsets = np.zeros(PARTITIONS, np.int64)
        # Metrics that have learnt enough for a forecast, but whose state was not kept since.
        self._not_kept: set[int] = set()

    def load(self, checkpoint: Checkpoint) -> None:
        """Load the states of a partition, which are as of the checkpoint's log offset.

        States of metrics that had to be learnt again are kept at once, so that a worker that is
        stopped now learns only the rest when it starts again.
        """
        partition, offset = checkpoint.partition, checkpoint.log_offset
        self.offsets[partition] = offset
        has_learnt_again = self._states.load_partition(partition, checkpoint.state)
        if not has_learnt_again or self._relearning.must_stop:
            return

        def keep() -> None:
            self._deletions.apply()
            loaded = self._states.loaded_of(partition)
            keep_checkpoint(partition, offset, self._states.pack(loaded), now())

        write(self._database, keep, self._states.loaded_of(partition).tolist())

    def keep(self, partitions: Iterable[int], through: int) -> None:
        """Keep these partitions through a log offset; drop from the log what all have kept."""
        behind = [one for one in partitions if self.offsets[one] < through]
        if not behind:
            return
        for partition in behind:
            self.keep_one(partition, through)
        through_all = int(self.offsets.min())
        with self._database.unit_of_work():
            prune_judged(through_all)
        self._log.prune(through_all)
        self._unsealed.drop(through_all)

    def note_newly_learnt(self, metric_ids: Int64s) -> None:
        """Note that the states of these metrics are to be kept soon."""
        self._not_kept.update(metric_ids.tolist())

    def keep_newly_learnt(self, through: int) -> bool:
        """Keep one partition with metrics that have just learnt enough to be judged.

        There is no forecast of a metric before its state is kept. Returns whether there was one.
        """
        if not self._not_kept:
            return False
        self.keep([next(iter(self._not_kept)) % PARTITIONS], through)
        return True

    def keep_one(self, partition: int, through: int) -> bool:
        """Seal and keep a partition; return False where some of its points stay unsealed."""
        tick = self._unsealed.of_partition(partition, PARTITIONS, int(self.offsets[partition]))
        # The chunks come first: after a crash they are written again, and nothing is missing.
        if not self._seal(tick, through):
            return False

        def keep() -> Int64s:
            self._deletions.apply()
            metric_ids = self._states.loaded_of(partition)
            is_dormant = now_ms() - self._received.of(metric_ids) > DORMANT_AFTER_MS
            active, dormant = metric_ids[~is_dormant], metric_ids[is_dormant]
            drop_dormant(active.tolist())
            for metric_id in dormant:
                keep_dormant(int(metric_id), self._scorer.snapshot_of(np.array([metric_id])))
            keep_checkpoint(partition, through, self._states.pack(active), now())
            return dormant

        dormant = write(self._database, keep, self._states.loaded_of(partition).tolist())
        self._scorer.unload(dormant.tolist())
        self.offsets[partition] = through
        self._not_kept = {one for one in self._not_kept if one % PARTITIONS != partition}
        return True

    def _seal(self, tick: Tick, through: int) -> bool:
        """Seal a partition's points, metric by metric where they cannot be sealed together."""
        try:
            self._chunks.seal(tick.points, tick.judgements, through)
        except NOT_OF_ONE_METRIC:
            raise
        except Exception:
            log.exception("sealing failed; sealing each metric by itself")
        else:
            return True
        is_sealed = True
        for metric_id in np.unique(tick.points.metric_ids).tolist():
            rows = np.flatnonzero(tick.points.metric_ids == metric_id)
            points = tick.points.of(rows)
            try:
                self._chunks.seal(points, tick.judgements.of(rows), through)
            except NOT_OF_ONE_METRIC:
                raise
            except Exception as problem:  # noqa: BLE001 -- whatever it is, it is this metric's
                if self._failures.record(metric_id, "sealing", problem):
                    # Otherwise the log would never be pruned again, and memory would run full.
                    self._chunks.keep_unsealable(points, through, str(problem))
                else:
                    is_sealed = False
        return is_sealed
