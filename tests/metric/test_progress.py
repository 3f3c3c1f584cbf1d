"""How far metrics are, written in bulk, and when late points ask for a rebuild."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from anomify.metric.model import Progress, Rebuild
from anomify.metric.progress import (
    MOST_REBUILD_ATTEMPTS,
    MOST_UNJUDGED_LATE,
    REBUILD_LEASE,
    REBUILD_SETTLES_AFTER,
    REBUILD_WAITS_AT_MOST,
    Step,
    claim_rebuild,
    count_late,
    fail_rebuild,
    mark_ended,
    record_progress,
    request_rebuild,
    settle_rebuild,
)
from tests.factories import make_metric, make_org

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STEP = Step(
    metric_id=0,
    judged_until_ms=1_795_176_000_000,
    points_seen=7,
    last_value=1.5,
    resolution_ms=60_000,
    is_counter=False,
    is_constant=False,
    has_ended=False,
    learning_points=100,
    stale_after_ms=300_000,
    may_be_silent=False,
    silent_from_ms=None,
    young_until_ms=0,
)


@pytest.fixture
def metric_ids(unit: Session) -> list[int]:
    org = make_org()
    return [make_metric(org, f"m{number}").id for number in range(3)]


def progress_of(unit: Session, metric_id: int) -> Progress:
    return unit.get_one(Progress, metric_id, populate_existing=True)


def steps(metric_ids: list[int], **more: object) -> list[Step]:
    return [replace(STEP, metric_id=metric_id, **more) for metric_id in metric_ids]


class TestRecordProgress:
    def test_writes_where_each_metric_stands_now(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        record_progress(steps(metric_ids[:1], points_seen=8, is_counter=True))
        seen = [progress_of(unit, metric_id).points_seen for metric_id in metric_ids]
        assert seen == [8, 7, 7]
        assert progress_of(unit, metric_ids[0]).is_counter

    def test_keeps_the_counts_of_late_points(self, unit, metric_ids):
        record_progress(steps(metric_ids[:1]))
        count_late(metric_ids[0], 3, AT, is_backfill=False)
        record_progress(steps(metric_ids[:1], points_seen=8))
        progress = progress_of(unit, metric_ids[0])
        assert (progress.late_points, progress.unjudged_late_points) == (3, 3)

    def test_keeps_the_earliest_end_of_being_new(self, unit, metric_ids):
        only = metric_ids[:1]
        for written, kept in ((0, 0), (900, 900), (0, 900), (1_000, 900), (800, 800)):
            record_progress(steps(only, young_until_ms=written))
            assert progress_of(unit, metric_ids[0]).young_until_ms == kept

    def test_takes_no_metrics_at_all(self, unit):
        record_progress([])
        assert unit.query(Progress).count() == 0


class TestMarkEnded:
    def test_changes_only_these_metrics(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        mark_ended(metric_ids[:2])
        ended = [progress_of(unit, metric_id).has_ended for metric_id in metric_ids]
        assert ended == [True, True, False]

    def test_takes_more_metrics_than_a_statement_takes_values(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        mark_ended([*range(1_000_000, 1_070_000), metric_ids[0]])
        assert progress_of(unit, metric_ids[0]).has_ended


class TestCountLate:
    def test_requests_a_rebuild_only_beyond_ten(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        count_late(metric_ids[0], MOST_UNJUDGED_LATE, AT, is_backfill=False)
        assert unit.get(Rebuild, metric_ids[0]) is None
        count_late(metric_ids[0], 1, AT, is_backfill=False)
        assert unit.get_one(Rebuild, metric_ids[0]).reason == "late points"

    def test_requests_a_rebuild_at_once_when_history_is_filled_in(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        count_late(metric_ids[0], 1, AT, is_backfill=True)
        assert unit.get_one(Rebuild, metric_ids[0]).reason == "back-fill"


def fail(claimed: Rebuild, at: datetime) -> None:
    fail_rebuild(claimed.metric_id, claimed.leased_until, "no such luck", at)


class TestRequestRebuild:
    def test_waits_until_points_have_stopped_coming(self, metric_ids):
        request_rebuild(metric_ids[0], "back-fill", AT)
        request_rebuild(metric_ids[0], "back-fill", AT + 3 * SECOND)
        due_at = AT + 3 * SECOND + REBUILD_SETTLES_AFTER
        assert claim_rebuild(due_at - SECOND) is None
        assert claim_rebuild(due_at).metric_id == metric_ids[0]

    def test_does_not_wait_for_ever(self, metric_ids):
        last = AT
        while last < AT + 2 * REBUILD_WAITS_AT_MOST:
            request_rebuild(metric_ids[0], "late points", last)
            last += REBUILD_SETTLES_AFTER / 2
        assert claim_rebuild(AT + REBUILD_WAITS_AT_MOST - SECOND) is None
        assert claim_rebuild(AT + REBUILD_WAITS_AT_MOST).metric_id == metric_ids[0]

    def test_lets_one_that_failed_rest_however_many_points_come(self, metric_ids):
        request_rebuild(metric_ids[0], "late points", AT)
        later = AT + timedelta(minutes=1)
        fail(claim_rebuild(later), later)
        request_rebuild(metric_ids[0], "late points", later + SECOND)
        assert claim_rebuild(later + timedelta(minutes=1)) is None
        again = claim_rebuild(later + REBUILD_LEASE + SECOND)
        assert (again.metric_id, again.attempts) == (metric_ids[0], 1)


class TestClaimRebuild:
    def test_gives_the_one_that_has_waited_longest(self, unit, metric_ids):
        for place, metric_id in enumerate(reversed(metric_ids)):
            request_rebuild(metric_id, "late points", AT + place * SECOND)
        unit.flush()
        assert claim_rebuild(AT + timedelta(hours=1)).metric_id == metric_ids[-1]

    def test_skips_a_leased_one_until_the_lease_ends(self, metric_ids):
        request_rebuild(metric_ids[0], "late points", AT)
        later = AT + timedelta(minutes=1)
        assert claim_rebuild(later).metric_id == metric_ids[0]
        assert claim_rebuild(later + REBUILD_LEASE - SECOND) is None
        again = claim_rebuild(later + REBUILD_LEASE + SECOND)
        assert (again.metric_id, again.attempts) == (metric_ids[0], 2)

    def test_passes_over_one_that_has_failed_too_often(self, unit, metric_ids):
        request_rebuild(metric_ids[0], "late points", AT)
        at = AT + timedelta(minutes=1)
        for _ in range(MOST_REBUILD_ATTEMPTS):
            fail(claim_rebuild(at), at)
            at += REBUILD_LEASE + SECOND
        assert claim_rebuild(at) is None
        assert unit.get_one(Rebuild, metric_ids[0]).last_error == "no such luck"


class TestSettleRebuild:
    def test_starts_counting_late_points_anew(self, unit, metric_ids):
        record_progress(steps(metric_ids))
        count_late(metric_ids[0], 11, AT, is_backfill=False)
        unit.flush()
        settle_rebuild(metric_ids[0], AT)
        progress = progress_of(unit, metric_ids[0])
        assert (progress.late_points, progress.unjudged_late_points) == (11, 0)
        assert unit.query(Rebuild).count() == 0
