"""Rebuild one metric: judge its whole past again and record what comes of it."""

from collections import Counter
from functools import partial

import numpy as np

from anomify.anomaly.recording import list_peak_times
from anomify.clock import now
from anomify.db import Database
from anomify.errors import Unavailable
from anomify.metric.failing import forget_failures
from anomify.metric.judged_counts import (
    HourCounts,
    JudgedCounter,
    counted_before_rebuild,
    find_before_rebuild,
    forget_before_rebuild,
    hours_of,
    keep_before_rebuild,
)
from anomify.metric.moved import replace_moved
from anomify.metric.progress import Step, record_progress, settle_rebuild
from anomify.metric.state import PARTITIONS, keep_checkpoint
from anomify.pipeline.announce import announcing
from anomify.pipeline.rebuild import StoredPatterns, record_rebuild
from anomify.pipeline.rejudge import Rejudged, rejudge
from anomify.pipeline.score import Scorer
from anomify.pipeline.screen import PatternScreen, Screen
from anomify.pipeline.verdict import Excluded
from anomify.series import Judgements, Series
from anomify.storage.chunks import ChunkStore
from anomify.worker.checkpoints import Checkpoints
from anomify.worker.current_settings import CurrentSettings
from anomify.worker.deletions import MetricDeletions
from anomify.worker.engine_states import EngineStates
from anomify.worker.overdue import OverdueTracker
from anomify.worker.progress import progress_steps
from anomify.worker.received import LastReceived
from anomify.worker.writing import write


class MetricRebuilder:
    """Rebuilds metrics, one at a time, between the ticks of the thread that judges."""

    def __init__(
        self,
        database: Database,
        chunks: ChunkStore,
        scorer: Scorer,
        screen: Screen,
        patterns: PatternScreen,
        states: EngineStates,
        checkpoints: Checkpoints,
        settings: CurrentSettings,
        deletions: MetricDeletions,
        overdue: OverdueTracker,
        received: LastReceived,
        counter: JudgedCounter,
    ) -> None:
        """Take what the thread that judges works with."""
        self._database = database
        self._chunks = chunks
        self._scorer = scorer
        self._screen = screen
        self._patterns = patterns
        self._states = states
        self._checkpoints = checkpoints
        self._settings = settings
        self._deletions = deletions
        self._overdue = overdue
        self._received = received
        self._counter = counter

    def rebuild(self, metric_id: int, through: int) -> None:
        """Judge a metric's whole past again, in order of time.

        Everything through the log offset `through` has been judged. Running it twice gives the same
        result. Raises `Unavailable` when points of its partition cannot be sealed now.
        """
        if self._deletions.is_deleted(metric_id):
            return
        with self._database.unit_of_work(write=False):
            [screened] = self._screen.screen([metric_id])
        if isinstance(screened, Excluded):
            write(self._database, lambda: settle_rebuild(metric_id, now()), [metric_id])
            return
        # After this every point is in a chunk, and the partition's states are as of this moment.
        if not self._checkpoints.keep_one(metric_id % PARTITIONS, through):
            raise Unavailable("Points of another metric of its partition cannot be sealed now.")
        self._settings.reload()
        before = self._write_down_counted(metric_id)
        if before is None:
            return
        after: HourCounts = Counter()

        def rewrite(part: Series, judgements: Judgements) -> None:
            after.update(hours_of(part.times[~np.isnan(judgements.scores)]))
            self._chunks.rewrite_scores(metric_id, part.times, judgements)

        with self._database.unit_of_work(write=False):
            peak_times = list_peak_times(metric_id)
            patterns = self._patterns_of(metric_id)
        rejudged = rejudge(
            self._chunks.read_series(metric_id),
            self._settings.of(metric_id),
            rewrite,
            peak_times,
            followed_ms=None if patterns is None else patterns.followed_ms,
        )
        steps = write(
            self._database,
            lambda: self._record_rebuilt(metric_id, rejudged, before, after, through, patterns),
            [metric_id],
        )
        self._overdue.note((step.metric_id, step.silent_from_ms) for step in steps)

    def _patterns_of(self, metric_id: int) -> StoredPatterns | None:
        """Return what may explain a metric, in a unit of work; None where no match can exist."""
        if not self._patterns.known.has_changed_ever:
            return None
        return StoredPatterns(
            self._patterns.known.of_metrics([metric_id]).get(metric_id),
            partial(self._chunks.read_between, metric_id),
            self._settings.of(metric_id).unit,
        )

    def _write_down_counted(self, metric_id: int) -> HourCounts | None:
        """Keep and return how many points of a metric are counted as judged, by hour.

        Returns None where the metric was deleted meanwhile.
        """
        with self._database.unit_of_work(write=False):
            kept = find_before_rebuild(metric_id)
        counted = counted_before_rebuild(self._chunks.read_series(metric_id), kept)

        def keep() -> bool:
            self._deletions.apply()
            exists = not self._deletions.is_deleted(metric_id)
            if exists and counted is not None:
                keep_before_rebuild(metric_id, counted)
            return exists

        if not write(self._database, keep, [metric_id]):
            return None
        return Counter() if counted is None else counted.hours

    def _record_rebuilt(
        self,
        metric_id: int,
        rejudged: Rejudged,
        before: HourCounts,
        after: HourCounts,
        through: int,
        patterns: StoredPatterns | None,
    ) -> list[Step]:
        """Record the result of a rebuild, unless the metric was deleted meanwhile."""
        self._deletions.apply()
        if self._deletions.is_deleted(metric_id):
            return []
        only = np.array([metric_id], np.int64)
        self._scorer.load(only, rejudged.state)
        self._received.note(only)
        with announcing(now()) as notifier:
            record_rebuild(metric_id, rejudged, notifier, patterns)
        steps = list(progress_steps(only, rejudged.summary, rejudged.wait_times, self._settings.of))
        record_progress(steps)
        self._counter.correct(metric_id, before, after)
        if rejudged.judged_from_ms is not None:
            [org_id] = self._counter.orgs_of(only).tolist()
            replace_moved(metric_id, org_id, rejudged.judged_from_ms, rejudged.unusual)
        forget_before_rebuild(metric_id)
        settle_rebuild(metric_id, now())
        forget_failures(metric_id, now())
        partition = metric_id % PARTITIONS
        loaded = self._states.loaded_of(partition)
        keep_checkpoint(partition, through, self._states.pack(loaded), now())
        return steps
