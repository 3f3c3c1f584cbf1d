"""Which metrics are overdue at a time, and which are waited for again."""

from anomify.worker.overdue import OverdueTracker


class TestOverdue:
    def test_returns_metrics_whose_moment_has_passed(self):
        awaited = OverdueTracker()
        awaited.note([(3, 1000), (5, 2000), (9, 3000)])
        assert awaited.overdue(999, 10).tolist() == []
        assert awaited.overdue(2000, 10).tolist() == [3, 5]
        assert awaited.overdue(5000, 2).tolist() == [3, 5]

    def test_leaves_out_metrics_with_no_moment_or_a_later_one(self):
        awaited = OverdueTracker()
        awaited.note([(1, 1000), (2, 1000)])
        awaited.note([(1, None), (2, 4000)])
        assert awaited.overdue(3000, 10).tolist() == []


class TestTrackAll:
    def test_waits_as_long_again_where_the_moment_has_passed(self):
        awaited = OverdueTracker()
        awaited.track_all([(1, 5_000, 2_000), (2, 90_000, 60_000)], at_ms=50_000)
        assert awaited.overdue(52_999, 10).tolist() == []
        assert awaited.overdue(53_000, 10).tolist() == [1]
        assert awaited.overdue(90_000, 10).tolist() == [1, 2]
