"""The life of a nightly job: told at first, trained once, quiet then; told when it differs."""

import numpy as np
import pytest

from anomify.match.model import Match
from anomify.metric.state import PARTITIONS
from anomify.pattern.lineage import disable_pattern
from anomify.pattern.queries import list_patterns
from anomify.worker.analyse import Analyser
from tests.kit.nights import (
    JOB,
    KINDS,
    LATER,
    NEXT,
    TRAINED_DAY,
    Job,
    Kind,
    Nights,
    nights_of,
    trained,
)
from tests.kit.plant import MINUTE, Plant, drain


def judge_night(nights: Nights, analyser: Analyser, day: int, job: Job) -> None:
    """Judge the minutes around a job in steps, and the rest of its day at once."""
    nights.judge(analyser, day, job.minute - 10)
    nights.judge(analyser, day, job.minute + 2 * JOB.minutes + 10, every=20)
    nights.judge(analyser, day + 1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
class TestLifeOfANightlyJob:
    def test_is_told_at_first_and_explained_from_the_next_night_on(self, plant, kind) -> None:
        nights, analyser = trained(plant, kind)
        nights.run(LATER, JOB)
        for day in (NEXT, LATER):
            judge_night(nights, analyser, day, JOB)
            assert nights.anomalies(day) == []
            match = nights.matches(day)[0]
            assert not match.is_open
            assert abs(match.started_ms - nights.at(day, JOB.minute)) <= 2 * MINUTE
            assert match.ended_ms is not None
            # As an anomaly it lasts until the engine finds nothing unusual any more.
            assert match.ended_ms <= nights.at(day, JOB.minute + JOB.minutes + 15)
            assert match.similarity > 50
            # The range becomes wider with each night that the engine learns.
            assert (0.5 if day == NEXT else 0) < match.height_ratio < 1.2
            assert match.pattern.label == "Nightly job"

    @pytest.mark.parametrize(
        ("job", "reason"),
        [
            (Job(height=JOB.height * 2.5), None),
            (Job(minute=JOB.minute + 300), None),
            (Job(height=-JOB.height), None),
            (Job(minutes=JOB.minutes * 2), "longer"),
        ],
        ids=["larger", "other time", "other direction", "longer"],
    )
    def test_is_told_when_it_differs(self, plant, kind, job, reason) -> None:
        nights, analyser = trained(plant, kind, job)
        judge_night(nights, analyser, NEXT, job)
        anomalies = nights.anomalies(NEXT)
        assert anomalies
        first = anomalies[0].span
        assert abs(first.started_ms - nights.at(NEXT, job.minute)) <= 2 * MINUTE
        if reason is not None:
            assert first.outgrown_reason.startswith("Like “Nightly job”, marked as expected by")
            assert reason in first.outgrown_reason
            [match] = nights.matches(NEXT)
            assert match.outgrown_by_anomaly_id == anomalies[0].id


def facts(matches: list[Match]) -> list[tuple]:
    return [
        (
            *(one.id, one.pattern_id, one.started_ms, one.last_ms, one.ended_ms, one.is_open),
            *(one.peak_ms, one.value, one.severity, one.outgrown_by_anomaly_id),
        )
        for one in matches
    ]


class TestReplay:
    def test_gives_the_same_in_one_tick_as_point_by_point(self, plant: Plant) -> None:
        found = []
        for name, every in (("one", 1), ("many", 1440)):
            nights = nights_of(plant, Kind(name, 100.0, 1.0))
            nights.run(TRAINED_DAY, JOB)
            nights.run(NEXT, JOB)
            nights.run(LATER, Job(minutes=90))
            analyser = plant.analyser()
            nights.judge(analyser, NEXT)
            nights.train(nights.anomalies(TRAINED_DAY)[0])
            for day in (NEXT, LATER):
                nights.judge(analyser, day, JOB.minute - 10)
                nights.judge(analyser, day, JOB.minute + 120, every=every)
            nights.judge(analyser, LATER + 1)
            found.append(
                [
                    [one[2:-1] for one in facts(nights.matches(day))]
                    + [
                        (one.span.started_ms, one.span.last_over_ms, one.span.outgrown_reason)
                        for one in nights.anomalies(day)
                    ]
                    for day in (NEXT, LATER)
                ]
            )
        assert found[0] == found[1]
        assert len(found[0][0]) == 1
        assert len(found[0][1]) >= 2

    def test_records_nothing_twice_when_the_worker_dies_before_a_checkpoint(
        self, plant: Plant
    ) -> None:
        nights, analyser = trained(plant)
        analyser.checkpoint(range(PARTITIONS))
        nights.judge(analyser, NEXT, JOB.minute + 10, every=3)
        before = facts(nights.matches(NEXT))
        assert [one[5] for one in before] == [True]
        # Another worker loads the checkpoint and replays the log up to what is recorded.
        second = plant.analyser()
        assert facts(nights.matches(NEXT)) == before
        nights.judge(second, LATER, every=3)
        [match] = nights.matches(NEXT)
        assert (match.id, match.is_open) == (before[0][0], False)
        assert nights.anomalies(NEXT) == []


class TestRebuild:
    def test_gives_the_same_matches_and_anomalies_with_their_ids(self, plant: Plant) -> None:
        nights, analyser = trained(plant, Kind("jobs", 100.0, 1.0))
        nights.run(LATER, Job(minutes=90))
        nights.judge(analyser, LATER + 1, every=7)
        days = range(TRAINED_DAY, LATER + 1)

        def recorded() -> list[object]:
            return [
                facts(nights.matches(day))
                + [
                    (one.id, one.span.started_ms, one.span.last_over_ms, one.span.outgrown_reason)
                    for one in nights.anomalies(day)
                ]
                for day in days
            ]

        before = recorded()
        assert [len(day) for day in before[:2]] == [1, 1]
        assert len(before[2]) >= 2
        with plant.database.unit_of_work(write=False):
            counted = [(one.checks, one.matches) for one in list_patterns(plant.org_id).items]
        for _ in range(2):
            analyser.rebuild(nights.metric_id)
            assert recorded() == before
        with plant.database.unit_of_work(write=False):
            assert [
                (one.checks, one.matches) for one in list_patterns(plant.org_id).items
            ] == counted

    def test_keeps_matches_of_a_pattern_that_is_not_in_use_any_more(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        nights.judge(analyser, LATER)
        before = facts(nights.matches(NEXT))
        with plant.database.unit_of_work():
            for pattern in list_patterns(plant.org_id).items:
                if pattern.enabled:
                    disable_pattern(plant.org_id, pattern.id, actor="Alice")
        analyser.rebuild(nights.metric_id)
        assert facts(nights.matches(NEXT)) == before
        assert nights.anomalies(NEXT) == []

    def test_deletes_a_match_whose_points_were_wrong(self, plant: Plant) -> None:
        nights, analyser = trained(plant)
        nights.judge(analyser, LATER)
        assert nights.matches(NEXT)
        minutes = np.arange(JOB.minute - 30, JOB.minute + 90)
        times = nights.at(NEXT) + minutes.astype(np.int64) * MINUTE
        plant.send(nights.metric_id, times, np.full(len(times), nights.kind.level))
        drain(analyser)
        analyser.rebuild(nights.metric_id)
        assert nights.matches(NEXT) == []


def test_a_tick_costs_one_small_query_while_there_are_no_patterns(plant: Plant) -> None:
    nights = nights_of(plant)
    analyser = plant.analyser()
    nights.judge(analyser, 1)
    asked = []
    read = analyser._patterns.known._read
    analyser._patterns.known._read = lambda ids: asked.append(ids) or read(ids)
    nights.run(1, Job(height=500))
    nights.judge(analyser, 2)
    assert nights.anomalies(1)
    assert asked == []
    assert not analyser._patterns.known
