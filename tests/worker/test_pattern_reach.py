"""What patterns explain and what people do with them: orgs, families, undoing, deletion."""

import pytest

from anomify.clock import now_ms
from anomify.db import session
from anomify.errors import Conflict
from anomify.match.model import Match, Validated
from anomify.match.precision import precision_of
from anomify.match.queries import count_matches, get_match, list_recently_matched
from anomify.match.validation import invalidate_match, validate_match
from anomify.metric.deleting import delete_metric
from anomify.metric.model import Metric
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.org_deletion.delete_org import delete_org
from anomify.pattern.lineage import disable_pattern, enable_pattern
from anomify.pattern.model import Pattern, PatternSeries, Scope, Training
from anomify.pattern.queries import get_pattern, list_patterns, read_window
from anomify.pattern.trainability import DAY_SECONDS, MONTH_SECONDS
from tests.factories import make_org
from tests.kit.nights import (
    ALICE,
    JOB,
    LATER,
    NEXT,
    TRAINED_DAY,
    Job,
    Kind,
    Nights,
    nights_of,
    trained,
)
from tests.kit.plant import Plant, drain


class TestPeople:
    def test_disabling_and_enabling_take_effect_at_the_next_point(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        nights.run(LATER, Job(height=60))
        with plant.database.unit_of_work():
            week = next(one for one in list_patterns(plant.org_id).items if one.parent_id is None)
            disable_pattern(plant.org_id, week.id, actor="Alice")
        nights.judge(analyser, NEXT, JOB.minute + JOB.minutes + 30)
        assert nights.anomalies(NEXT)
        with plant.database.unit_of_work():
            enable_pattern(plant.org_id, week.id, actor="Alice")
            assert get_pattern(plant.org_id, week.id).enabled

    def test_an_invalidated_match_becomes_a_pattern_that_contradicts(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        nights.judge(analyser, LATER)
        [match] = nights.matches(NEXT)
        plant.points.follow()
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            found = get_match(org.id, match.id)
            made = invalidate_match(org, found, plant.points, ALICE)
            assert made is not None
            assert made.positive
            with pytest.raises(Conflict):
                invalidate_match(org, found, plant.points, ALICE)
            precision = precision_of(org.id, [match.pattern_id])[match.pattern_id]
            assert (precision.matches, precision.invalid, precision.precision) == (1, 1, 0.0)
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            in_reach = analyser._patterns.known.of_metrics([nights.metric_id])
        assert in_reach[nights.metric_id].size == 2

    def test_a_validated_match_counts_for_its_pattern(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        nights.judge(analyser, LATER)
        [match] = nights.matches(NEXT)
        with plant.database.unit_of_work():
            found = get_match(plant.org_id, match.id)
            validate_match(found, ALICE)
            assert found.validated == Validated.VALID
            precision = precision_of(plant.org_id, [match.pattern_id])[match.pattern_id]
            assert precision.precision == 1.0
            pattern = get_pattern(plant.org_id, match.pattern_id)
            assert (pattern.checks, pattern.matches) == (1, 1)
            assert pattern.last_match_ms == match.started_ms
            assert count_matches(plant.org_id, from_ms=0, until_ms=now_ms()) == 1
            [recent] = list_recently_matched(plant.org_id).items
            assert (recent.metric.id, recent.matches) == (nights.metric_id, 1)


class TestReach:
    def family(self, plant: Plant, scope: Scope, name: str = "cpu") -> list[Nights]:
        first = nights_of(plant, Kind(f'{name}{{host="a"}}', 100.0, 1.0))
        second = nights_of(plant, Kind(f'{name}{{host="b"}}', 100.0, 1.0))
        first.run(TRAINED_DAY, JOB)
        second.run(NEXT, JOB)
        analyser = plant.analyser()
        first.judge(analyser, NEXT)
        second.judge(analyser, NEXT)
        first.train(first.anomalies(TRAINED_DAY)[0], scope=scope)
        second.judge(analyser, LATER)
        return [first, second]

    def test_explains_the_metric_only_unless_a_person_chose_the_family(self, plant: Plant) -> None:
        _, second = self.family(plant, Scope.METRIC)
        assert second.anomalies(NEXT)
        assert second.matches(NEXT) == []

    def test_explains_the_family_where_a_person_chose_it(self, plant: Plant) -> None:
        _, second = self.family(plant, Scope.FAMILY)
        assert second.anomalies(NEXT) == []
        assert len(second.matches(NEXT)) == 1

    def test_never_explains_errors_by_the_pattern_of_another_metric(self, plant: Plant) -> None:
        _, second = self.family(plant, Scope.FAMILY, "http_errors")
        assert second.anomalies(NEXT)

    def test_explains_nothing_of_another_org(self, plant: Plant, database) -> None:
        with database.unit_of_work():
            other = make_org("Globex")
        globex = Plant(plant.database, plant.points, other.id, [])
        name = 'cpu{host="a"}'
        ours, theirs = (nights_of(one, Kind(name, 100.0, 1.0)) for one in (plant, globex))
        for nights in (ours, theirs):
            nights.run(TRAINED_DAY, JOB)
            nights.run(NEXT, JOB)
        analyser = plant.analyser()
        for nights in (ours, theirs):
            nights.judge(analyser, NEXT)
        ours.train(ours.anomalies(TRAINED_DAY)[0], scope=Scope.FAMILY)
        for nights in (ours, theirs):
            nights.judge(analyser, LATER)
        assert len(ours.matches(NEXT)) == 1
        assert theirs.matches(NEXT) == []
        assert theirs.anomalies(NEXT)


class TestDeletion:
    def rows(self, plant: Plant) -> list[int]:
        with plant.database.unit_of_work(write=False):
            return [
                session().query(table).count()
                for table in (Pattern, PatternSeries, Match, Training)
            ]

    def with_match(self, plant: Plant) -> Nights:
        nights, analyser = trained(plant, durations=(DAY_SECONDS, MONTH_SECONDS))
        nights.judge(analyser, LATER)
        assert self.rows(plant) == [1, 1, 1, 1]
        return nights

    def test_patterns_and_matches_go_with_their_metric(self, plant: Plant) -> None:
        nights = self.with_match(plant)
        with plant.database.unit_of_work():
            delete_metric(session().get_one(Metric, nights.metric_id), "Alice")
        assert self.rows(plant) == [0, 0, 0, 0]

    def test_patterns_and_matches_go_with_their_org(self, plant: Plant) -> None:
        self.with_match(plant)
        with plant.database.unit_of_work():
            delete_org(session().get_one(Org, plant.org_id))
        assert self.rows(plant) == [0, 0, 0, 0]

    def test_patterns_outlive_the_points_they_were_made_of(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        analyser.checkpoint(range(PARTITIONS))
        plant.points.drop_before(nights.at(NEXT))
        with plant.database.unit_of_work(write=False):
            pattern = list_patterns(plant.org_id).items[0]
            assert len(read_window(pattern)) > 500
        nights.judge(plant.analyser(), LATER)
        assert nights.anomalies(NEXT) == []
        assert len(nights.matches(NEXT)) == 1
