"""Read new rows of the point log, judge their points, record the results, and checkpoint."""

import logging
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from anomify.clock import now, now_ms
from anomify.db import Database
from anomify.metric.judged_batches import judged_through
from anomify.metric.judged_counts import JudgedCounter
from anomify.metric.progress import list_awaited
from anomify.metric.state import PARTITIONS, count_of_other_versions, list_checkpoints
from anomify.pipeline.announce import announcing
from anomify.pipeline.close_explained import ExplainedSpan, close_explained, find_explained
from anomify.pipeline.score import Fresh, Scored, Scorer
from anomify.pipeline.screen import PatternScreen, Screen, close_excluded
from anomify.series import Bools, Judgements
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import LogRow, PointLog
from anomify.worker.checkpoints import Checkpoints
from anomify.worker.current_settings import CurrentSettings
from anomify.worker.deletions import MetricDeletions
from anomify.worker.engine_states import EngineStates
from anomify.worker.find_failing import find_failing
from anomify.worker.metric_failures import MetricFailures
from anomify.worker.metric_rebuild import MetricRebuilder
from anomify.worker.no_data import NoDataMonitor
from anomify.worker.overdue import OverdueTracker
from anomify.worker.received import LastReceived
from anomify.worker.recent_points import RecentPoints
from anomify.worker.relearning import Relearning
from anomify.worker.resent import find_new_rows
from anomify.worker.threshold_watch import ThresholdWatch
from anomify.worker.tick import JudgedTick, TickRecorder
from anomify.worker.unsealed import Tick, Unsealed
from anomify.worker.writing import write

# With so many unsealed points all partitions are sealed at once, so that memory is bounded.
MOST_UNSEALED = 2_000_000
# With more log rows to judge than this, and older ones than that, no metric is taken as silent.
MOST_ROWS_BEFORE_NO_DATA = 1024
NO_DATA_LAG_SECONDS = 15.0

log = logging.getLogger(__name__)


class Analyser:
    """Judges all partitions of metrics; one thread calls it. After a crash the log is replayed."""

    def __init__(
        self, database: Database, log: PointLog, chunks: ChunkStore, *, is_careful: bool = False
    ) -> None:
        """Put the parts together; `recover` loads the states.

        If `is_careful`, each metric is tried by itself until the log holds nothing new, to find out
        which one fails. That is slow, and meant for the first start after a failure.
        """
        self._is_careful = is_careful
        self._database = database
        self._log = log
        self._chunks = chunks
        self._scorer = Scorer()
        self._screen = Screen()
        self._unsealed = Unsealed()
        self._recent_points = RecentPoints(chunks, self._unsealed)
        self._patterns = PatternScreen(self._recent_points)
        self._received = LastReceived()
        self._started_ms = now_ms()
        self._overdue = OverdueTracker()
        self._counter = JudgedCounter()
        self._failures = MetricFailures(database)
        self._settings = CurrentSettings(database, self._scorer, self._failures)
        self._deletions = MetricDeletions(database, chunks, self._scorer, self._overdue)
        self.relearning = Relearning()
        self._states = EngineStates(
            database,
            chunks,
            self._scorer,
            self._settings,
            self._deletions,
            self._failures,
            self._received,
            self.relearning,
        )
        self._checkpoints = Checkpoints(
            database,
            log,
            chunks,
            self._scorer,
            self._states,
            self._unsealed,
            self._deletions,
            self._failures,
            self._received,
            self.relearning,
        )
        self._recorder = TickRecorder(
            database,
            self._scorer,
            self._screen,
            self._patterns,
            self._settings,
            self._deletions,
            self._overdue,
            self._counter,
            self._recent_points,
        )
        self._rebuilder = MetricRebuilder(
            database,
            chunks,
            self._scorer,
            self._screen,
            self._patterns,
            self._states,
            self._checkpoints,
            self._settings,
            self._deletions,
            self._overdue,
            self._received,
            self._counter,
        )
        self._thresholds = ThresholdWatch(database, self._recent_points, self._received)
        self._no_data = NoDataMonitor(
            database, self._screen, self._settings, self._overdue, self._received
        )
        self.through_offset = 0
        # The log offset through which an earlier worker has recorded, known once this one recovers.
        self._recorded = 0

    def recover(
        self,
        is_stopping: Callable[[], bool] = lambda: False,
        report: Callable[[], None] = lambda: None,
    ) -> bool:
        """Load the kept states and replay the log from there, without recording anything again.

        Metrics whose states are of another version are learnt again, which takes minutes for ten
        thousand; `relearning` counts them. Calls `report` often, and `is_stopping` now and then;
        returns False if that returned True.
        """
        with self._database.unit_of_work(write=False):
            checkpoints = list_checkpoints()
            self._recorded = recorded = judged_through()
            # While no worker ran, no metric could report.
            self._overdue.track_all(list_awaited(), now_ms())
        self.reload_settings()
        self.apply_exclusions()
        self._deletions.apply()
        to_learn = sum(count_of_other_versions(checkpoint.state) for checkpoint in checkpoints)
        self.relearning.begin(to_learn, is_stopping, report)
        for checkpoint in checkpoints:
            self._checkpoints.load(checkpoint)
            report()
            if is_stopping():
                return False
        self.relearning.end()
        self.through_offset = int(self._checkpoints.offsets.min())
        while self.through_offset < recorded:
            report()
            if is_stopping():
                return False
            rows = [row for row in self._log.read(self.through_offset) if row.offset <= recorded]
            if not rows:
                break
            fresh, left_out = self._select_points(rows)
            if self._is_careful:
                fresh, left_out = self._leave_out_failing(fresh, left_out, is_recorded=True)
            scored = self._scorer.score(fresh)
            self._recorder.follow(scored)
            self._add_unsealed(JudgedTick(fresh, scored, self._find_new_rows(scored), left_out, []))
        self.through_offset = max(self.through_offset, recorded)
        return True

    def run_once(self) -> int:
        """Judge the next rows of the log; return how many rows that was.

        The anomalies, the progress of each metric and the judgements are one transaction.
        """
        self.apply_exclusions()
        self._deletions.apply()
        self.apply_patterns()
        self._thresholds.apply()
        rows = self._log.read(self.through_offset)
        if not rows:
            self._is_careful = False
            return 0
        fresh, left_out = self._select_points(rows)
        if self._is_careful:
            fresh, left_out = self._leave_out_failing(fresh, left_out, is_recorded=False)
        scored = self._scorer.score(fresh)
        is_new = self._find_new_rows(scored)
        screened = self._recorder.screen(scored)
        over = self._thresholds.find(scored)
        recorded = self._recorder.record(
            JudgedTick(fresh, scored, is_new, left_out, screened, over)
        )
        self._thresholds.note(over)
        self._add_unsealed(recorded)
        self._checkpoints.note_newly_learnt(
            self._states.find_newly_learnt(recorded.scored.metric_ids, recorded.scored.summary)
        )
        if len(self._unsealed) > MOST_UNSEALED:
            self.checkpoint(range(PARTITIONS))
        return len(rows)

    def behind(self) -> int:
        """Return how many log rows are not judged yet."""
        return max(self._log.last_offset() - self.through_offset, 0)

    def lag_seconds(self) -> float:
        """Return how long ago the oldest point that is not judged yet was accepted, 0 for none."""
        found = self._log.first_after(max(self.through_offset, self._recorded))
        if found is None:
            return 0.0
        _, accepted_ms = found
        if accepted_ms is None:
            # Written by a version that did not store the time: at least as old as this object.
            accepted_ms = self._started_ms
        return max(now_ms() - accepted_ms, 0) / 1000

    def apply_exclusions(self) -> None:
        """Apply changed exclusion rules from the next point on; close what they exclude now."""
        with self._database.unit_of_work(write=False):
            has_changed = self._screen.reload()
        if has_changed:
            write(self._database, close_excluded)

    def apply_patterns(self) -> None:
        """Apply changed patterns from the next point on; close anomalies that they explain."""
        explained: list[ExplainedSpan] = []
        with self._database.unit_of_work(write=False):
            if self._patterns.reload():
                explained = find_explained(self._patterns.known, self._recent_points)
        if explained:
            write(
                self._database,
                partial(_close_explained, explained),
                [each.metric_id for each in explained],
            )

    def reload_settings(self) -> None:
        """Apply changed settings of metrics from each metric's next point on."""
        self._settings.reload()

    def drop_deleted(self) -> None:
        """Delete the stored points of deleted metrics."""
        self._deletions.drop_points()

    def find_metrics_without_data(self) -> None:
        """Open anomalies for metrics that should have reported, and close those they had.

        What is in the log is judged first: a metric in it has reported.
        """
        is_much = self.behind() > MOST_ROWS_BEFORE_NO_DATA
        if is_much and self.lag_seconds() > NO_DATA_LAG_SECONDS:
            return
        head = self._log.last_offset()
        while self.through_offset < head and self.run_once():
            pass
        self._no_data.look()
        self._thresholds.look_for_silent()

    def checkpoint(self, partitions: Iterable[int]) -> None:
        """Seal the points of these partitions and keep their states."""
        self._checkpoints.keep(partitions, self.through_offset)

    def keep_new_states(self) -> bool:
        """Keep one partition with metrics that have just learnt enough; return whether one had."""
        return self._checkpoints.keep_newly_learnt(self.through_offset)

    def rebuild(self, metric_id: int) -> None:
        """Judge a metric's whole past again, in order of time; running it twice is harmless."""
        self.apply_exclusions()
        self._deletions.apply()
        self.apply_patterns()
        self._rebuilder.rebuild(metric_id, self.through_offset)

    def _select_points(self, rows: list[LogRow]) -> tuple[Fresh, Fresh]:
        """Return the points of these rows that are to be judged, and those that are only kept.

        The states of dormant metrics among them are loaded.
        """
        with self._database.unit_of_work(write=False):
            came = Fresh.of_rows(rows).after(self._checkpoints.offsets, PARTITIONS)
            came = came.of(~self._deletions.are_deleted(came.points.metric_ids))
            is_left_out = self._screen.are_excluded(came.points.metric_ids)
            if self._failures.isolated:
                is_left_out |= np.isin(came.points.metric_ids, list(self._failures.isolated))
            fresh, left_out = came.of(~is_left_out), came.of(is_left_out)
            metric_ids = np.unique(fresh.points.metric_ids)
            dormant = self._states.find_dormant(metric_ids)
        self._states.load_dormant(dormant)
        self._received.note(metric_ids)
        return fresh, left_out

    def _leave_out_failing(
        self, fresh: Fresh, left_out: Fresh, *, is_recorded: bool
    ) -> tuple[Fresh, Fresh]:
        """Try each metric by itself; move the points of those that fail to what is only kept."""

        def attempt(scored: Scored) -> None:
            is_new = self._find_new_rows(scored)
            if not is_recorded:
                self._recorder.try_to_record(scored, is_new)

        failing = find_failing(fresh, self._scorer, attempt)
        for metric_id, problem in failing:
            self._failures.record(metric_id, "judging", problem)
            # Its rebuild judges it from its first point.
            self._scorer.unload([metric_id])
        is_failing = np.isin(fresh.points.metric_ids, [metric_id for metric_id, _ in failing])
        return fresh.of(~is_failing), left_out.joined(fresh.of(is_failing))

    def _find_new_rows(self, scored: Scored) -> Bools:
        return find_new_rows(scored, self._chunks, self._unsealed)

    def _add_unsealed(self, tick: JudgedTick) -> None:
        """Hold the points of a tick until a checkpoint seals them."""
        rows = np.flatnonzero(tick.is_new)
        scored, left_out = tick.scored, tick.left_out
        judgements = scored.verdicts.judgements.of(rows)
        self._unsealed.add(Tick(scored.offsets[rows], scored.points.of(rows), judgements))
        not_judged = Judgements.none(len(left_out.points))
        self._unsealed.add(Tick(left_out.offsets, left_out.points, not_judged))
        self.through_offset = tick.fresh.through_offset


def _close_explained(explained: list[ExplainedSpan]) -> None:
    with announcing(now()) as notifier:
        close_explained(explained, notifier)
