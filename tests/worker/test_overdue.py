"""Who is overdue at a moment, and who gets a fresh chance."""

from anomify.worker.overdue import OverdueTracker


class TestOverdue:
    def test_is_who_should_have_been_heard_by_now(self):
        awaited = OverdueTracker()
        awaited.note([(3, 1000), (5, 2000), (9, 3000)])
        assert awaited.overdue(999, 10).tolist() == []
        assert awaited.overdue(2000, 10).tolist() == [3, 5]
        assert awaited.overdue(5000, 2).tolist() == [3, 5]

    def test_is_nobody_who_is_awaited_no_more_or_again_later(self):
        awaited = OverdueTracker()
        awaited.note([(1, 1000), (2, 1000)])
        awaited.note([(1, None), (2, 4000)])
        assert awaited.overdue(3000, 10).tolist() == []


class TestAwaitAll:
    def test_gives_those_whose_moment_is_over_as_long_again(self):
        awaited = OverdueTracker()
        awaited.track_all([(1, 5_000, 2_000), (2, 90_000, 60_000)], at_ms=50_000)
        assert awaited.overdue(52_999, 10).tolist() == []
        assert awaited.overdue(53_000, 10).tolist() == [1]
        assert awaited.overdue(90_000, 10).tolist() == [1, 2]
