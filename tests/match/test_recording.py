"""Open, reopen and extend matches."""

import pytest

from anomify.anomaly.recording import Observation
from anomify.detection.pattern_match import Explanation
from anomify.match.model import Match
from anomify.match.recording import MatchOnset, close_match, open_match
from anomify.metric.model import Metric
from anomify.pattern.queries import list_patterns
from tests.factories import make_metric, make_org, make_pattern
from tests.kit.plant import MINUTE

START = 1_795_867_200_000
ALIKE = Explanation(0, "shape", 0.1, 93.0, 0.9, 0.5, 1.0, 0, 61, -4.0)


def observation(minute: int, value: float, alert: float) -> Observation:
    return Observation(
        time_ms=START + minute * MINUTE,
        value=value,
        expected_lower=90.0,
        expected_upper=110.0,
        score=0.9,
        alert=alert,
        severity="high",
        evidence="above",
        explanation="It is far above.",
        amount=None,
        since_ms=None,
    )


def begun(metric: Metric, seen: Observation, started_minute: int = 0) -> tuple[Match, bool]:
    onset = MatchOnset(seen, START + started_minute * MINUTE, 90.0, 110.0)
    [pattern] = list_patterns(metric.org_id).items
    return open_match(metric, onset, pattern.id, ALIKE, 5 * MINUTE)


def metric_with_pattern() -> Metric:
    metric = make_metric(make_org())
    make_pattern(metric)
    return metric


@pytest.mark.usefixtures("unit")
class TestOpen:
    def test_a_replay_finds_it_again(self) -> None:
        metric = metric_with_pattern()
        first, is_new = begun(metric, observation(0, 130.0, 9.0))
        assert is_new
        again, is_new = begun(metric, observation(0, 130.0, 9.0))
        assert (again.id, is_new) == (first.id, False)

    def test_begins_before_the_point_at_which_it_was_found(self) -> None:
        match, _ = begun(metric_with_pattern(), observation(8, 130.0, 9.0))
        assert (match.started_ms, match.last_ms) == (START, START + 8 * MINUTE)

    def test_more_of_the_same_keeps_the_peak(self) -> None:
        metric = metric_with_pattern()
        match, _ = begun(metric, observation(0, 130.0, 9.0))
        close_match(match)
        again, is_new = begun(metric, observation(12, 111.0, 6.2))
        assert (again.id, is_new, again.is_open) == (match.id, False, True)
        assert (again.value, again.alert, again.peak_ms) == (130.0, 9.0, START)
        assert again.last_ms == START + 12 * MINUTE

    def test_another_one_later_is_another_match(self) -> None:
        metric = metric_with_pattern()
        match, _ = begun(metric, observation(0, 130.0, 9.0))
        close_match(match)
        other, is_new = begun(metric, observation(40, 130.0, 9.0), 40)
        assert is_new
        assert other.id != match.id
