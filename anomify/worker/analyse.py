"""The duty of judging: follow the log, judge what is new, record it, and seal what is judged."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import compress

import numpy as np

from anomify.anomaly.queries import long_unheard
from anomify.anomaly.recording import list_peak_times
from anomify.clock import now, now_ms
from anomify.db import Database, batches
from anomify.detection.state import DamagedSnapshotError, EngineSummary, UnreadableSnapshotError
from anomify.errors import Unavailable
from anomify.metric.deleting import DeletedMetrics, list_unsettled, settle_deleted
from anomify.metric.failing import (
    NOT_OF_ONE_METRIC,
    forget_failures,
    is_of_one_metric,
    isolated_ids,
    record_failure,
)
from anomify.metric.judged_batches import add_judged_batch, judged_through, prune_judged
from anomify.metric.judged_counts import (
    HourCounts,
    JudgedCounter,
    counted_before_rebuild,
    find_before_rebuild,
    forget_before_rebuild,
    hours_of,
    keep_before_rebuild,
)
from anomify.metric.progress import (
    Latest,
    Step,
    count_late,
    list_awaited,
    mark_ended,
    record_left_out,
    record_progress,
    settle_rebuild,
    take_overdue,
)
from anomify.metric.settings import AS_SHIPPED, Wanted, settings_since
from anomify.metric.state import (
    PARTITIONS,
    dormant_states,
    drop_dormant,
    keep_checkpoint,
    keep_dormant,
    list_checkpoints,
    metrics_of_partition,
    pack_states,
    unpack_states,
)
from anomify.pipeline.announce import Notifier
from anomify.pipeline.observe import close_silent, observe
from anomify.pipeline.rebuild import RELEARN_MS, Rebuilt, record_again, rejudge
from anomify.pipeline.score import Fresh, Scored, Scorer, WaitTimes
from anomify.pipeline.screen import Screen, end_excluded
from anomify.pipeline.silence import forgive_silence, open_silences
from anomify.series import Bools, Int64s, Judgements, Points, Series, lengthened
from anomify.storage.chunks import ChunkStore
from anomify.storage.codec import Judged, encode_judged
from anomify.storage.log import LogRow, PointLog
from anomify.storage.setaside import Kind
from anomify.worker.overdue import OverdueTracker
from anomify.worker.unsealed import Tick, Unsealed
from anomify.worker.writing import write

# So many unsealed points are sealed at once, whatever the clock says: memory is bounded.
MOST_UNSEALED = 2_000_000
# A metric silent for a day leaves memory; its state waits in the database for the next point.
DORMANT_AFTER_MS = 86_400_000
# A metric whose newest point is no older than this when it comes reports now.
LIVE_MS = 3_600_000
# With more rows of the log to judge than this, silence says nothing yet.
MOST_ROWS_BEFORE_SILENCE = 1024
# Unless they have waited for so short a time: then they are judged soon.
SILENCE_LAG_SECONDS = 15.0
# Deleted metrics whose points one transaction settles, and how long judging waits for some.
MOST_DROPPED = 100
DROPPING_SECONDS = 0.5
# Silences that one look records; the next look is seconds away.
MOST_SILENCES = 500
# What one unit of work set may be seen after what another one set later.
SETTINGS_OVERLAP = timedelta(minutes=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Judging:
    """What one tick has judged, and what of it is only kept, before any of it is written down."""

    fresh: Fresh
    scored: Scored
    # Of each row that was judged, whether it says something that is not stored already.
    is_news: Bools
    left_out: Fresh

    @property
    def metric_ids(self) -> Int64s:
        """All metrics that it is about, ascending."""
        return np.unique(
            np.concatenate([self.scored.metric_ids, np.unique(self.left_out.points.metric_ids)])
        )

    def of_metrics(self, exist: Callable[[Int64s], Bools]) -> "_Judging":
        """Return only what is about metrics that exist, as `exist` says."""
        left_out = self.left_out.of(exist(self.left_out.points.metric_ids))
        here = exist(self.scored.metric_ids)
        if here.all():
            return replace(self, left_out=left_out)
        return _Judging(
            self.fresh,
            self.scored.of_metrics(here),
            self.is_news[self.scored.rows_of(here)],
            left_out,
        )


class Analyser:
    """Owns the partitions of metrics; one thread calls it. After a crash the log is replayed."""

    def __init__(
        self, database: Database, log: PointLog, chunks: ChunkStore, *, is_careful: bool = False
    ) -> None:
        """Know where things are; `recover` does the work.

        A careful one judges metric by metric until the log holds nothing new, and so finds out
        which of them fails; that is slow, and for after a failure.
        """
        self._is_careful = is_careful
        self._isolated: frozenset[int] = frozenset()
        self._database = database
        self._log = log
        self._chunks = chunks
        self._scorer = Scorer()
        self._screen = Screen()
        self._unsealed = Unsealed()
        # When each metric was last heard of by our clock: history has old times but is not silent.
        self._heard_ms = np.zeros(0, np.int64)
        self._began_ms = now_ms()
        self._awaited = OverdueTracker()
        self._tally = JudgedCounter()
        self._wanted: dict[int, Wanted] = {}
        self._wanted_at: datetime | None = None
        self._deleted = DeletedMetrics()
        # By metric id: 1 where it was deleted.
        self._is_deleted = np.zeros(0, np.int64)
        # Through which offset each partition is sealed and its state kept.
        self._kept = np.zeros(PARTITIONS, np.int64)
        # By metric id, 1 once it is judged; and those of them of which nothing is kept since then
        # that a forecast could be made from.
        self._is_taught = np.zeros(0, np.int64)
        self._unkept: set[int] = set()
        self.through_offset = 0

    def recover(self, is_stopping: Callable[[], bool] = lambda: False) -> bool:
        """Load the states that were kept and replay the log from there, recording nothing twice.

        A long replay asks now and then whether to stop; False says that it did, half-way.
        """
        with self._database.unit_of_work(write=False):
            checkpoints = list_checkpoints()
            recorded = judged_through()
            # Nobody could report while nobody was there.
            self._awaited.track_all(list_awaited(), now_ms())
        self.take_settings()
        self.apply_exclusions()
        self._apply_deletions()
        for checkpoint in checkpoints:
            self._kept[checkpoint.partition] = checkpoint.log_offset
            self._wake_partition(checkpoint.partition, checkpoint.state)
            if is_stopping():
                return False
        self.through_offset = int(self._kept.min())
        while self.through_offset < recorded:
            if is_stopping():
                return False
            rows = [row for row in self._log.read(self.through_offset) if row.offset <= recorded]
            if not rows:
                break
            fresh, left_out = self._take(rows)
            if self._is_careful:
                fresh, left_out = self._without_failing(fresh, left_out, is_recorded=True)
            scored = self._scorer.score(fresh)
            self._keep(fresh, scored, self._find_news(scored), left_out)
        self.through_offset = max(self.through_offset, recorded)
        return True

    def run_once(self) -> int:
        """Judge the next rows of the log; return how many rows that was.

        What was found, how far each metric has come, and the judgements are one transaction.
        """
        self.apply_exclusions()
        self._apply_deletions()
        rows = self._log.read(self.through_offset)
        if not rows:
            self._is_careful = False
            return 0
        fresh, left_out = self._take(rows)
        if self._is_careful:
            fresh, left_out = self._without_failing(fresh, left_out, is_recorded=False)
        scored = self._scorer.score(fresh)
        judged = _Judging(fresh, scored, self._find_news(scored), left_out)
        recorded, moved = write(
            self._database, lambda: self._record(judged), judged.metric_ids.tolist()
        )
        self._keep(recorded.fresh, recorded.scored, recorded.is_news, recorded.left_out)
        self._awaited.note((step.metric_id, step.silent_from_ms) for step in moved)
        self._unkept.update(
            self._find_taught(recorded.scored.metric_ids, recorded.scored.standing).tolist()
        )
        if len(self._unsealed) > MOST_UNSEALED:
            self.checkpoint(range(PARTITIONS))
        return len(rows)

    def _record(self, judging: "_Judging") -> tuple["_Judging", list[Step]]:
        """Write down what was found in a tick, and return what of it is about metrics that exist.

        With it comes where each metric stands that has moved.
        """
        self._apply_deletions()
        judging = judging.of_metrics(lambda metric_ids: ~self._were_deleted(metric_ids))
        fresh, scored = judging.fresh, judging.scored
        notifier = Notifier(now())
        observe(scored, notifier, self._wanted)
        # Old points that come again bring no series back that has ended.
        steps = self._steps_of(scored.metric_ids, scored.standing, scored.wait_times)
        moved = list(compress(steps, scored.has_moved))
        record_progress(moved)
        for metric_id, count, is_backfill in _count_late(scored, judging.is_news):
            count_late(metric_id, count, notifier.at, is_backfill=is_backfill)
        record_left_out(list(_latest(judging.left_out)))
        self._end(fresh.ended, notifier)
        judged = _judged(scored)
        self._tally.count(judged.metric_ids, judged.times)
        add_judged_batch(fresh.through_offset, encode_judged(judged))
        return judging, moved

    def behind(self) -> int:
        """Return how many log rows are not judged yet."""
        return max(self._log.last_offset() - self.through_offset, 0)

    def lag_seconds(self) -> float:
        """Return how long ago the oldest point that is not judged yet was accepted, 0 for none."""
        found = self._log.first_after(self.through_offset)
        if found is None:
            return 0.0
        _, accepted_ms = found
        if accepted_ms is None:
            # Of a version that did not write it down: as old as we know it to be.
            accepted_ms = self._began_ms
        return max(now_ms() - accepted_ms, 0) / 1000

    def apply_exclusions(self) -> None:
        """Judge from the next point on only what no rule excludes, and end what the others had."""
        with self._database.unit_of_work(write=False):
            has_changed = self._screen.look()
        if has_changed:
            write(self._database, end_excluded)

    def _apply_deletions(self) -> None:
        """Let go of metrics that were deleted since the last look."""
        with self._database.unit_of_work(write=False):
            gone = self._deleted.look()
        if gone:
            ids = np.array(gone, np.int64)
            self._is_deleted = lengthened(self._is_deleted, int(ids.max()) + 1, 0)
            self._is_deleted[ids] = 1
            self._scorer.forget(np.setdiff1d(ids, self._scorer.asleep(ids)).tolist())
            self._awaited.note((metric_id, None) for metric_id in gone)

    def _were_deleted(self, metric_ids: Int64s) -> Bools:
        self._is_deleted = lengthened(self._is_deleted, int(metric_ids.max(initial=0)) + 1, 0)
        deleted: Bools = self._is_deleted[metric_ids] == 1
        return deleted

    def drop_deleted(self) -> None:
        """Delete the points of metrics that were deleted, also those that came in late.

        When it has taken a moment it leaves the others to the next time, which is soon.
        """
        began = time.monotonic()
        while time.monotonic() - began < DROPPING_SECONDS:
            with self._database.unit_of_work(write=False):
                unsettled = list_unsettled(now(), MOST_DROPPED)
            if not unsettled:
                return
            self._apply_deletions()
            self._chunks.forget(unsettled.metric_ids)
            with self._database.unit_of_work():
                settle_deleted(unsettled, now())

    def take_settings(self) -> None:
        """Judge from the next point on as people have set it since the last look."""
        with self._database.unit_of_work(write=False):
            self._isolated = isolated_ids()
            since = None if self._wanted_at is None else self._wanted_at - SETTINGS_OVERLAP
            changed, self._wanted_at = settings_since(since)
        news = {key: wanted for key, wanted in changed.items() if self._of(key) != wanted}
        for metric_id, wanted in news.items():
            self._wanted[metric_id] = wanted
            self._scorer.tune(metric_id, wanted.tuning)
        allowed = [metric_id for metric_id, wanted in news.items() if wanted.may_be_silent]
        if allowed:
            write(self._database, lambda: forgive_silence(allowed, Notifier(now())), allowed)

    def look_for_silence(self) -> None:
        """Open anomalies for metrics that should have reported, and close those they had.

        What waits in the log is judged first: whoever is in there has reported.
        """
        is_much = self.behind() > MOST_ROWS_BEFORE_SILENCE
        if is_much and self.lag_seconds() > SILENCE_LAG_SECONDS:
            return
        head = self._log.last_offset()
        while self.through_offset < head and self.run_once():
            pass
        self._close_silent()
        overdue = self._awaited.overdue(now_ms(), MOST_SILENCES)
        if not len(overdue):
            return

        def record() -> None:
            notifier = Notifier(now())
            # Nobody misses what is excluded.
            overdue_here = overdue[~self._screen.excludes(overdue)]
            found = take_overdue(overdue_here.tolist())
            silent = [each for each in found if not self._of(each.metric_id).may_be_silent]
            close_silent([each.metric_id for each in silent], notifier)
            open_silences(silent, notifier)

        write(self._database, record, overdue.tolist())
        self._awaited.note((metric_id, None) for metric_id in overdue.tolist())

    def _close_silent(self) -> None:
        """Close the anomalies of metrics that have been silent for several of their steps."""
        with self._database.unit_of_work(write=False):
            # Looking must not get in the way of those who write; there is seldom one to close.
            unheard = long_unheard(now_ms())
        at_ms = now_ms()
        silent = [
            metric_id
            for metric_id, last_ms, stale_after_ms in unheard
            if at_ms - self._last_heard_ms(metric_id, last_ms) > stale_after_ms
        ]
        for some in batches(silent, MOST_SILENCES):
            write(self._database, partial(close_silent, some, Notifier(now())), some)

    def checkpoint(self, partitions: Iterable[int]) -> None:
        """Seal these partitions' points and keep their states; then let go of what all have."""
        behind = [one for one in partitions if self._kept[one] < self.through_offset]
        if not behind:
            return
        for partition in behind:
            self._checkpoint_one(partition)
        through = int(self._kept.min())
        with self._database.unit_of_work():
            prune_judged(through)
        self._log.prune(through)
        self._unsealed.drop(through)

    def keep_new_states(self) -> bool:
        """Keep the states of one partition that has metrics whose first verdict was just given.

        Until then nothing is expected of their future. False where there was nothing to do.
        """
        if not self._unkept:
            return False
        self.checkpoint([next(iter(self._unkept)) % PARTITIONS])
        return True

    def rebuild(self, metric_id: int) -> None:
        """Judge a metric's whole past again, in order of time; running it twice is harmless."""
        self.apply_exclusions()
        self._apply_deletions()
        only = np.array([metric_id], np.int64)

        def settle_excluded() -> bool:
            is_excluded = bool(self._screen.excludes(only).any())
            if is_excluded:
                settle_rebuild(metric_id, now())
            return is_excluded

        if self._were_deleted(only).any():
            return
        if write(self._database, settle_excluded, [metric_id]):
            return
        # Now every point is in a chunk, and the partition's state is as of this moment.
        if not self._checkpoint_one(metric_id % PARTITIONS):
            raise Unavailable("Points of another metric of its partition cannot be sealed now.")
        self.take_settings()
        before = self._write_down_counted(metric_id)
        if before is None:
            return
        after: HourCounts = Counter()

        def rewrite(part: Series, judgements: Judgements) -> None:
            after.update(hours_of(part.times[~np.isnan(judgements.scores)]))
            self._chunks.rewrite_scores(metric_id, part.times, judgements)

        with self._database.unit_of_work(write=False):
            peaks = list_peak_times(metric_id)
        rebuilt = rejudge(self._chunks.read_series(metric_id), self._of(metric_id), rewrite, peaks)
        steps = write(
            self._database,
            lambda: self._record_rebuilt(metric_id, rebuilt, before, after),
            [metric_id],
        )
        self._awaited.note((step.metric_id, step.silent_from_ms) for step in steps)

    def _write_down_counted(self, metric_id: int) -> HourCounts | None:
        """Write down and return how a metric is counted; None where it was deleted meanwhile."""
        with self._database.unit_of_work(write=False):
            kept = find_before_rebuild(metric_id)
        counted = counted_before_rebuild(self._chunks.read_series(metric_id), kept)

        def keep() -> bool:
            self._apply_deletions()
            is_here = not self._were_deleted(np.array([metric_id], np.int64)).any()
            if is_here and counted is not None:
                keep_before_rebuild(metric_id, counted)
            return is_here

        if not write(self._database, keep, [metric_id]):
            return None
        return Counter() if counted is None else counted.hours

    def _record_rebuilt(
        self, metric_id: int, rebuilt: Rebuilt, before: HourCounts, after: HourCounts
    ) -> list[Step]:
        """Write down what came of a rebuild; nothing of a metric that was deleted meanwhile."""
        self._apply_deletions()
        only = np.array([metric_id], np.int64)
        if self._were_deleted(only).any():
            return []
        self._scorer.wake(only, rebuilt.state)
        self._hear(only)
        record_again(metric_id, rebuilt, Notifier(now()))
        steps = list(self._steps_of(only, rebuilt.standing, rebuilt.wait_times))
        record_progress(steps)
        self._tally.correct(metric_id, before, after)
        forget_before_rebuild(metric_id)
        settle_rebuild(metric_id, now())
        forget_failures(metric_id, now())
        partition = metric_id % PARTITIONS
        keep_checkpoint(
            partition, self.through_offset, self._states_of(self._awake_in(partition)), now()
        )
        return steps

    def _checkpoint_one(self, partition: int) -> bool:
        """Seal a partition and keep its state; False where some of its points stay unsealed."""
        through = self.through_offset
        tick = self._unsealed.of_partition(partition, PARTITIONS, int(self._kept[partition]))
        # First the chunks, which may be written twice, then the word that they are written.
        if not self._seal(tick, through):
            return False

        def keep() -> Int64s:
            self._apply_deletions()
            metric_ids = self._awake_in(partition)
            is_silent = now_ms() - self._heard_ms[metric_ids] > DORMANT_AFTER_MS
            awake, asleep = metric_ids[~is_silent], metric_ids[is_silent]
            drop_dormant(awake.tolist())
            for metric_id in asleep:
                keep_dormant(int(metric_id), self._scorer.snapshot_of(np.array([metric_id])))
            keep_checkpoint(partition, through, self._states_of(awake), now())
            return asleep

        asleep = write(self._database, keep, self._awake_in(partition).tolist())
        self._scorer.forget(asleep.tolist())
        self._kept[partition] = through
        self._unkept = {one for one in self._unkept if one % PARTITIONS != partition}
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
                if self._fail(metric_id, "sealing", problem):
                    # Or the log would never be pruned again, and memory would run full.
                    self._chunks.set_points_aside(points, through, str(problem))
                else:
                    is_sealed = False
        return is_sealed

    def _fail(self, metric_id: int, doing: str, problem: Exception) -> bool:
        """Count a failure of one metric, and tell whether the metric is isolated for it now."""
        log.error("%s of metric %d failed", doing, metric_id, exc_info=problem)
        with self._database.unit_of_work():
            is_isolated = record_failure(metric_id, doing, problem, now())
        if is_isolated:
            log.error("metric %d is isolated: its points are kept and not judged", metric_id)
            self._isolated |= {metric_id}
        return is_isolated

    def _without_failing(
        self, fresh: Fresh, left_out: Fresh, *, is_recorded: bool
    ) -> tuple[Fresh, Fresh]:
        """Judge each metric by itself for a try; leave out those of which that fails.

        What the tries do is undone: neither memory nor database is changed by them.
        """
        failing = []
        for metric_id in np.unique(fresh.points.metric_ids).tolist():
            only = np.array([metric_id], np.int64)
            is_new = bool(len(self._scorer.asleep(only)))
            before = b"" if is_new else self._scorer.snapshot_of(only)
            try:
                scored = self._scorer.score(fresh.of(fresh.points.metric_ids == metric_id))
                news = self._find_news(scored)
                if not is_recorded:
                    self._try_to_record(scored, news)
            except Exception as problem:
                if not is_of_one_metric(problem):
                    raise
                failing.append((metric_id, problem))
            finally:
                self._scorer.forget([metric_id])
                if not is_new:
                    self._scorer.wake(only, before)
        for metric_id, failure in failing:
            self._fail(metric_id, "judging", failure)
            # It is judged from its begin when it is rebuilt.
            self._scorer.forget([metric_id])
        is_failing = np.isin(fresh.points.metric_ids, [metric_id for metric_id, _ in failing])
        return fresh.of(~is_failing), left_out.joined(fresh.of(is_failing))

    def _try_to_record(self, scored: Scored, is_news: Bools) -> None:
        notifier = Notifier(now())
        with self._database.unit_of_work() as session:
            observe(scored, notifier, self._wanted)
            steps = self._steps_of(scored.metric_ids, scored.standing, scored.wait_times)
            record_progress(list(compress(steps, scored.has_moved)))
            for metric_id, count, is_backfill in _count_late(scored, is_news):
                count_late(metric_id, count, notifier.at, is_backfill=is_backfill)
            session.rollback()

    def _take(self, rows: list[LogRow]) -> tuple[Fresh, Fresh]:
        """Return what is to be judged of these rows, and what is only kept."""
        with self._database.unit_of_work(write=False):
            came = Fresh.of_rows(rows).after(self._kept, PARTITIONS)
            came = came.of(~self._were_deleted(came.points.metric_ids))
            fresh, left_out = self._divide(came)
            metric_ids = np.unique(fresh.points.metric_ids)
            asleep = self._scorer.asleep(metric_ids)
            states = list(dormant_states(asleep.tolist()))
        for metric_id, state in states:
            self._wake(np.array([metric_id], np.int64), state)
        self._hear(metric_ids)
        return fresh, left_out

    def _divide(self, fresh: Fresh) -> tuple[Fresh, Fresh]:
        is_excluded = self._screen.excludes(fresh.points.metric_ids)
        if self._isolated:
            is_excluded |= np.isin(fresh.points.metric_ids, list(self._isolated))
        return fresh.of(~is_excluded), fresh.of(is_excluded)

    def _find_news(self, scored: Scored) -> Bools:
        """Tell which rows say something that is not stored already: late ones may be resent."""
        is_news = ~scored.is_late
        late = scored.points.of(np.flatnonzero(scored.is_late))
        if not len(late):
            return is_news
        sealed = self._chunks.values_at(late)
        known = [
            Points(late.metric_ids, late.times, sealed).of(~np.isnan(sealed)),
            self._unsealed.of_metrics(
                np.unique(late.metric_ids), int(late.times.min()), int(late.times.max())
            ),
        ]
        # What came before with the same metric and time stands, in this order, right above a row.
        all_rows = Points.joined([*known, scored.points])
        order = np.lexsort((all_rows.times, all_rows.metric_ids))
        row, above = order[1:], order[:-1]
        is_resent = np.zeros(len(all_rows), bool)
        is_resent[row] = (
            (all_rows.metric_ids[row] == all_rows.metric_ids[above])
            & (all_rows.times[row] == all_rows.times[above])
            & (all_rows.values[row] == all_rows.values[above])
        )
        return is_news | ~is_resent[-len(scored.points) :]

    def _keep(self, fresh: Fresh, scored: Scored, is_news: Bools, left_out: Fresh) -> None:
        rows = np.flatnonzero(is_news)
        judgements = scored.verdicts.judgements.of(rows)
        self._unsealed.add(Tick(scored.offsets[rows], scored.points.of(rows), judgements))
        unjudged = Judgements.none(len(left_out.points))
        self._unsealed.add(Tick(left_out.offsets, left_out.points, unjudged))
        self.through_offset = fresh.through_offset

    def _end(self, ended: Points, notifier: Notifier) -> None:
        """Take the word of senders that a series has ended, unless a newer point contradicts."""
        if not len(ended):
            return
        known = np.setdiff1d(ended.metric_ids, self._scorer.asleep(ended.metric_ids))
        last_times = dict(
            zip(known.tolist(), self._scorer.standing_of(known).last_times.tolist(), strict=True)
        )
        gone = {
            metric_id
            for metric_id, time in zip(ended.metric_ids.tolist(), ended.times.tolist(), strict=True)
            if time >= last_times.get(metric_id, time + 1)
        }
        mark_ended(gone)
        close_silent(gone, notifier)
        self._awaited.note((metric_id, None) for metric_id in gone)

    def _hear(self, metric_ids: Int64s) -> None:
        self._heard_ms = lengthened(self._heard_ms, int(metric_ids.max(initial=0)) + 1, 0)
        self._heard_ms[metric_ids] = now_ms()

    def _last_heard_ms(self, metric_id: int, last_ms: int) -> int:
        """Return when a metric was last heard of, by our clock or by its newest point."""
        is_known = metric_id < len(self._heard_ms)
        heard_ms = int(self._heard_ms[metric_id]) if is_known else 0
        return max(heard_ms, last_ms)

    def _of(self, metric_id: int) -> Wanted:
        return self._wanted.get(metric_id, AS_SHIPPED)

    def _steps_of(
        self, metric_ids: Int64s, standing: EngineSummary, wait_times: WaitTimes
    ) -> Iterator[Step]:
        at_ms = now_ms()
        for place, metric_id in enumerate(metric_ids.tolist()):
            last_ms, stale_after_ms = (
                int(standing.last_times[place]),
                int(wait_times.stale_after_ms[place]),
            )
            may_be_silent = self._of(metric_id).may_be_silent
            is_taught = standing.seen[place] >= standing.needed[place]
            # Of history that somebody sends once, nobody awaits more.
            is_live = at_ms - last_ms <= max(stale_after_ms, LIVE_MS)
            patience_ms = stale_after_ms + int(wait_times.lag_ms[place])
            is_awaited = is_taught and is_live and not may_be_silent
            yield Step(
                metric_id=metric_id,
                judged_until_ms=last_ms,
                points_seen=int(standing.seen[place]),
                last_value=float(standing.last_values[place]),
                resolution_ms=int(standing.resolution_ms[place]),
                is_counter=bool(standing.is_counter[place]),
                is_constant=bool(standing.is_constant[place]),
                has_ended=False,
                learning_points=int(standing.needed[place]),
                stale_after_ms=stale_after_ms,
                may_be_silent=may_be_silent,
                silent_from_ms=max(at_ms, last_ms) + patience_ms if is_awaited else None,
            )

    def _find_taught(self, metric_ids: Int64s, standing: EngineSummary) -> Int64s:
        """Return those of the metrics that are judged now and were not at the last look."""
        self._is_taught = lengthened(self._is_taught, int(metric_ids.max(initial=0)) + 1, 0)
        is_new = (standing.seen >= standing.needed) & (self._is_taught[metric_ids] == 0)
        taught: Int64s = metric_ids[is_new]
        self._is_taught[taught] = 1
        return taught

    def _awake_in(self, partition: int) -> Int64s:
        metric_ids = self._scorer.awake()
        awake: Int64s = metric_ids[metric_ids % PARTITIONS == partition]
        return awake

    def _states_of(self, metric_ids: Int64s) -> bytes:
        return pack_states(metric_ids, self._scorer.snapshot_of)

    def _wake_partition(self, partition: int, states: bytes) -> None:
        try:
            groups = unpack_states(states)
        except DamagedSnapshotError as problem:
            self._set_state_aside(partition, states, problem)
            with self._database.unit_of_work(write=False):
                metric_ids = np.array(metrics_of_partition(partition), np.int64)
            self._learn_anew(metric_ids, problem)
            # Those of which no point is stored begin with their next one.
            metric_ids = np.setdiff1d(metric_ids, self._scorer.asleep(metric_ids))
            groups = [(metric_ids, self._scorer.snapshot_of(metric_ids))]
        for metric_ids, snapshot in groups:
            if len(metric_ids):
                self._wake(metric_ids, snapshot)
                self._hear(metric_ids)
                self._scorer.forget(metric_ids[self._were_deleted(metric_ids)].tolist())

    def _wake(self, metric_ids: Int64s, snapshot: bytes) -> None:
        """Take states back in; those that another version of the engine kept are learnt anew."""
        try:
            self._scorer.wake(metric_ids, snapshot)
            self._find_taught(metric_ids, self._scorer.standing_of(metric_ids))
        except UnreadableSnapshotError as problem:
            if isinstance(problem, DamagedSnapshotError):
                self._set_state_aside(int(metric_ids[0]), snapshot, problem)
            self._learn_anew(metric_ids, problem)

    def _learn_anew(self, metric_ids: Int64s, problem: Exception) -> None:
        log.warning("learning %d metrics anew from their points: %s", len(metric_ids), problem)
        for newest in self._chunks.latest(metric_ids):
            past = self._chunks.read_since(newest.metric_id, newest.bucket_ms - RELEARN_MS)
            only = np.array([newest.metric_id], np.int64)
            try:
                self._scorer.wake(only, rejudge([past], self._of(newest.metric_id)).state)
            except Exception as failure:  # noqa: BLE001 -- whatever it is, it is this metric's
                self._fail(newest.metric_id, "judging", failure)

    def _set_state_aside(self, subject: int, state: bytes, problem: Exception) -> None:
        self._chunks.shelf.add(Kind.STATE, subject, state, str(problem))


def _count_late(scored: Scored, is_news: Bools) -> Iterator[tuple[int, int, bool]]:
    """Give each metric with points too late to be judged, how many, and if from a back-fill."""
    late = np.flatnonzero(scored.is_late & is_news)
    if not len(late):
        return
    # The rows are ordered by metric; a loop of its own for each would look at all of them again.
    metric_ids, starts = np.unique(scored.points.metric_ids[late], return_index=True)
    counts = np.diff(np.append(starts, len(late)))
    is_backfill = np.logical_or.reduceat(scored.is_backfill[late], starts)
    yield from zip(metric_ids.tolist(), counts.tolist(), is_backfill.tolist(), strict=True)


def _latest(left_out: Fresh) -> Iterator[Latest]:
    """Give the newest point of each metric that is only kept."""
    points = left_out.points
    order = np.lexsort((points.times, points.metric_ids))
    newest = points.of(order[np.append(np.diff(points.metric_ids[order]) != 0, True)[: len(order)]])
    for metric_id, time_ms, value in zip(
        newest.metric_ids.tolist(), newest.times.tolist(), newest.values.tolist(), strict=True
    ):
        yield Latest(metric_id, time_ms, value)


def _judged(scored: Scored) -> Judged:
    rows = np.flatnonzero(scored.verdicts.judged)
    points = scored.points.of(rows)
    return Judged(points.metric_ids, points.times, scored.verdicts.judgements.of(rows))
