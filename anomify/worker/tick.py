"""Record what one tick has judged, in one transaction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np

from anomify.clock import now
from anomify.db import Database
from anomify.metric.judged_batches import add_judged_batch
from anomify.metric.judged_counts import UNKNOWN, JudgedCounter
from anomify.metric.moved import record_moved
from anomify.metric.progress import (
    Latest,
    Step,
    count_late,
    mark_ended,
    record_left_out,
    record_progress,
)
from anomify.pipeline.announce import Notifier, announcing
from anomify.pipeline.no_data import close_all_of_silent
from anomify.pipeline.observe import Screened, find_and_screen, record_and_announce
from anomify.pipeline.score import Fresh, Scored, Scorer
from anomify.pipeline.screen import PatternScreen, Screen, close_excluded
from anomify.pipeline.threshold_rules import NewPoints
from anomify.pipeline.thresholds import record_thresholds
from anomify.pipeline.unusual import UnusualFinder
from anomify.series import Bools, Int64s, Points
from anomify.storage.codec import Judged, encode_judged
from anomify.worker.current_settings import CurrentSettings
from anomify.worker.deletions import MetricDeletions
from anomify.worker.overdue import OverdueTracker
from anomify.worker.progress import progress_steps
from anomify.worker.recent_points import RecentPoints
from anomify.worker.writing import write


@dataclass(frozen=True, slots=True)
class JudgedTick:
    """What one tick has judged, and what of it is only kept, before any of it is recorded."""

    fresh: Fresh
    scored: Scored
    # For each row that was judged, whether it holds something that is not stored already.
    is_new: Bools
    left_out: Fresh
    screened: list[Screened]
    # The metrics that are, or may be, over the threshold of a watcher.
    thresholds: list[NewPoints] = field(default_factory=list)

    @property
    def metric_ids(self) -> Int64s:
        """The ids of all its metrics, ascending."""
        return np.unique(
            np.concatenate([self.scored.metric_ids, np.unique(self.left_out.points.metric_ids)])
        )

    def of_metrics(self, exist: Callable[[Int64s], Bools]) -> "JudgedTick":
        """Return only what is about metrics for which `exist` returns True."""
        left_out = self.left_out.of(exist(self.left_out.points.metric_ids))
        existing = exist(self.scored.metric_ids)
        if existing.all():
            return replace(self, left_out=left_out)
        kept = set(self.scored.metric_ids[existing].tolist())
        return JudgedTick(
            self.fresh,
            self.scored.of_metrics(existing),
            self.is_new[self.scored.rows_of(existing)],
            left_out,
            [each for each in self.screened if each.candidate.metric_id in kept],
            [each for each in self.thresholds if each.metric_id in kept],
        )


class TickRecorder:
    """Records ticks: anomalies, the progress of each metric, and the judgements."""

    def __init__(
        self,
        database: Database,
        scorer: Scorer,
        screen: Screen,
        patterns: PatternScreen,
        settings: CurrentSettings,
        deletions: MetricDeletions,
        overdue: OverdueTracker,
        counter: JudgedCounter,
        points: RecentPoints,
    ) -> None:
        """Take what the thread that judges works with."""
        self._database = database
        self._scorer = scorer
        self._screen = screen
        self._patterns = patterns
        self._settings = settings
        self._deletions = deletions
        self._overdue = overdue
        self._counter = counter
        self._points = points
        self._unusual = UnusualFinder()

    def screen(self, scored: Scored) -> list[Screened]:
        """Return the candidates of a tick, screened by the rules that hold now."""
        with self._database.unit_of_work(write=False):
            have_rules_changed = self._screen.reload()
            screened = self._find_and_screen(scored)
        if have_rules_changed:
            write(self._database, close_excluded)
        return screened

    def follow(self, scored: Scored) -> None:
        """Note what an earlier worker has recorded, so that moves go on where they began."""
        self._unusual.find(scored.points.metric_ids, scored.points.times, scored.verdicts)

    def record(self, tick: JudgedTick) -> JudgedTick:
        """Record a tick in one transaction; return the part of it whose metrics still exist."""
        recorded, moved = write(
            self._database, lambda: self._record(tick), tick.metric_ids.tolist()
        )
        self._overdue.note((step.metric_id, step.silent_from_ms) for step in moved)
        return recorded

    def try_to_record(self, scored: Scored, is_new: Bools) -> None:
        """Record a part of a tick and roll it back. Raises what recording it would raise."""
        at = now()
        with self._database.unit_of_work() as session:
            with announcing(at) as notifier:
                record_and_announce(self._find_and_screen(scored), notifier)
            record_progress(self._moved_steps(scored))
            for metric_id, count, is_backfill in _count_late(scored, is_new):
                count_late(metric_id, count, at, is_backfill=is_backfill)
            session.rollback()

    def _find_and_screen(self, scored: Scored) -> list[Screened]:
        return find_and_screen(scored, self._screen, self._settings.by_metric, self._patterns)

    def _record(self, tick: JudgedTick) -> tuple[JudgedTick, list[Step]]:
        self._deletions.apply()
        tick = tick.of_metrics(lambda metric_ids: ~self._deletions.are_deleted(metric_ids))
        scored = tick.scored
        at = now()
        with announcing(at, self._points.read) as notifier:
            record_and_announce(tick.screened, notifier)
            record_thresholds(tick.thresholds, notifier)
            moved = self._moved_steps(scored)
            record_progress(moved)
            for metric_id, count, is_backfill in _count_late(scored, tick.is_new):
                count_late(metric_id, count, at, is_backfill=is_backfill)
            record_left_out(list(_latest(tick.left_out)))
            self._end(tick.fresh.ended, notifier)
        judged = _judged(scored)
        self._counter.count(judged.metric_ids, judged.times)
        self._record_moved(scored)
        add_judged_batch(tick.fresh.through_offset, encode_judged(judged))
        return tick, moved

    def _record_moved(self, scored: Scored) -> None:
        points = self._unusual.find(scored.points.metric_ids, scored.points.times, scored.verdicts)
        org_ids = self._counter.orgs_of(points.metric_ids)
        exists = org_ids != UNKNOWN
        record_moved(points.of(exists), org_ids[exists])

    def _moved_steps(self, scored: Scored) -> list[Step]:
        """Return the progress of the metrics with a point that was not late.

        Late points that come again do not make a series live that has ended.
        """
        steps = progress_steps(
            scored.metric_ids, scored.summary, scored.wait_times, self._settings.of
        )
        return list(compress(steps, scored.has_moved))

    def _end(self, ended: Points, notifier: Notifier) -> None:
        """Mark the series as ended that their sender reports as such, unless a newer point came."""
        if not len(ended):
            return
        known = np.setdiff1d(ended.metric_ids, self._scorer.not_loaded(ended.metric_ids))
        last_times = dict(
            zip(known.tolist(), self._scorer.summary_of(known).last_times.tolist(), strict=True)
        )
        have_ended = {
            metric_id
            for metric_id, time in zip(ended.metric_ids.tolist(), ended.times.tolist(), strict=True)
            if time >= last_times.get(metric_id, time + 1)
        }
        mark_ended(have_ended)
        close_all_of_silent(have_ended, notifier)
        self._overdue.note((metric_id, None) for metric_id in have_ended)


def _count_late(scored: Scored, is_new: Bools) -> Iterator[tuple[int, int, bool]]:
    """Yield each metric with new late points, how many, and whether any is from a back-fill."""
    late = np.flatnonzero(scored.is_late & is_new)
    if not len(late):
        return
    # The rows are ordered by metric; a mask for each metric would read all of them each time.
    metric_ids, starts = np.unique(scored.points.metric_ids[late], return_index=True)
    counts = np.diff(np.append(starts, len(late)))
    is_backfill = np.logical_or.reduceat(scored.is_backfill[late], starts)
    yield from zip(metric_ids.tolist(), counts.tolist(), is_backfill.tolist(), strict=True)


def _latest(left_out: Fresh) -> Iterator[Latest]:
    """Yield the newest point of each metric that is not judged."""
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
