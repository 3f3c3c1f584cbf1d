"""Where a metric stands, in one word and one sentence."""

from datetime import UTC, datetime, timedelta

import pytest

from anomify.metric.model import Metric, Progress
from anomify.metric.status import State, duration_in_words, status_of

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
METRIC = Metric(id=1, org_id=1, name="cpu.load")
MINUTE = 60_000


def progress(*, silent: timedelta = timedelta(0), seen: int = 500, **more: object) -> Progress:
    judged_until_ms = int((AT - silent).timestamp() * 1000)
    known = {
        "resolution_ms": MINUTE,
        "is_constant": False,
        "has_ended": False,
        "learning_points": 100,
        "stale_after_ms": 5 * MINUTE,
        "may_be_silent": False,
        **more,
    }
    return Progress(metric_id=1, judged_until_ms=judged_until_ms, points_seen=seen, **known)


class TestStandingOf:
    @pytest.mark.parametrize(
        ("found", "state", "sentence"),
        [
            (None, State.WAITING, "Waiting: its first points"),
            (progress(seen=37), State.LEARNING, "Learning: 37 of 100 points."),
            (progress(seen=20, learning_points=28), State.LEARNING, "Learning: 20 of 28 points."),
            (progress(seen=28, learning_points=28), State.JUDGED, "Judged: every new point"),
            (progress(silent=timedelta(hours=3), may_be_silent=True), State.JUDGED, "Judged: "),
            (progress(seen=100), State.JUDGED, "Judged: every new point"),
            (progress(is_constant=True), State.CONSTANT, "Constant: one value"),
            (progress(is_constant=True, seen=99), State.LEARNING, "Learning: 99 of 100"),
            (progress(silent=timedelta(hours=3)), State.STALE, "Stale: no point for 3 hours."),
            (progress(silent=timedelta(hours=3), has_ended=True), State.ENDED, "Ended: its sender"),
        ],
    )
    def test_sentence_is_about_the_most_important_fact(self, found, state, sentence):
        status = status_of(METRIC, found, AT)
        assert status.state is state
        assert status.sentence.startswith(sentence)

    def test_counts_no_more_points_than_it_takes_to_learn(self):
        statuses = [status_of(METRIC, progress(seen=seen), AT) for seen in (99, 100, 5_000)]
        assert [status.learned for status in statuses] == [99, 100, 100]
        assert [status.is_judged for status in statuses] == [False, True, True]


class TestInWords:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-5, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ],
    )
    def test_is_a_rounded_duration_in_words(self, seconds, text):
        assert duration_in_words(seconds * 1000) == text
