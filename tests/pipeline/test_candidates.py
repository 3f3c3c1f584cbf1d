"""Which metrics of a tick become candidates, and what a candidate contains."""

import pytest

from anomify.metric.settings import Wanted
from anomify.pipeline.candidates import find_candidates
from anomify.pipeline.score import Scored, Scorer
from tests.kit.points import MINUTE, START
from tests.pipeline.test_score import COUNT, line, row, score

NORMAL, SPIKING, OPEN = 1, 2, 3


@pytest.fixture
def scored() -> Scored:
    """A tick with five points of three metrics that have learnt; one of them has a spike."""
    scorer = Scorer()
    score(scorer, row(1, *line(NORMAL), *line(SPIKING), *line(OPEN)))
    spike = (SPIKING, START + (COUNT + 5) * MINUTE, 1e6)
    ticks = [each for metric_id in (NORMAL, SPIKING, OPEN) for each in line(metric_id, COUNT, 5)]
    return score(scorer, row(2, *ticks, spike))


class TestFindCandidates:
    def test_finds_metrics_over_the_threshold_and_those_with_an_open_anomaly(self, scored):
        found = find_candidates(scored, [OPEN, 10**6])
        assert [candidate.metric_id for candidate in found] == [SPIKING, OPEN]

    def test_finds_none_in_a_normal_tick(self):
        scorer = Scorer()
        score(scorer, row(1, *line(NORMAL)))
        assert find_candidates(score(scorer, row(2, *line(NORMAL, COUNT, 5))), []) == []

    def test_contains_the_verdicts_on_its_own_points_in_order(self, scored):
        spiking, still_open = find_candidates(scored, [OPEN])
        minutes = [(each.time_ms - START) // MINUTE for each in spiking.point_verdicts()]
        assert minutes == list(range(COUNT, COUNT + 6))
        assert [each.opens for each in spiking.point_verdicts()] == [False] * 5 + [True]
        assert len(list(still_open.point_verdicts())) == 5
        assert not any(each.opens for each in still_open.point_verdicts())
        again = [(each.time_ms - START) // MINUTE for each in spiking.point_verdicts()]
        assert again == minutes, "an attempt to record may be repeated"

    def test_takes_the_unit_from_the_settings(self, scored):
        settings = {SPIKING: Wanted(unit="ms")}
        units = [candidate.unit for candidate in find_candidates(scored, [OPEN], settings)]
        assert units == ["ms", ""]

    def test_reports_from_its_first_point_that_is_not_late(self):
        scorer = Scorer()
        score(scorer, row(1, *line(NORMAL), *line(OPEN)))
        late = (NORMAL, START, 1.0)
        in_order = (OPEN, START + COUNT * MINUTE, 1.0)
        tick = score(scorer, row(2, late, (OPEN, START, 1.0), in_order))
        found = find_candidates(tick, [NORMAL, OPEN])
        assert [candidate.reports_from_ms for candidate in found] == [None, in_order[1]]

    def test_finds_none_without_points(self):
        assert find_candidates(score(Scorer(), row(1)), [NORMAL]) == []
