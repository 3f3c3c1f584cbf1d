"""The life of a nightly job: told at first, trained once, quiet then; told when it differs."""

import pytest

from anomify.db import session
from anomify.match.model import Match
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from tests.factories import make_metric
from tests.kit.nights import KINDS, Job, Kind, Nights
from tests.kit.plant import MINUTE, Plant

TRAINED_DAY = 8
NEXT, LATER = TRAINED_DAY + 1, TRAINED_DAY + 2
JOB = Job()


def nights_of(plant: Plant, kind: Kind = KINDS[0], **more: int) -> Nights:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        return Nights(plant, make_metric(org, kind.name).id, kind, **more)


def trained(plant: Plant, kind: Kind = KINDS[0], next_job: Job | None = JOB, **more):
    """Judge nine days with a job on the last one, train that, and prepare the next night."""
    nights = nights_of(plant, kind)
    nights.run(TRAINED_DAY, JOB)
    nights.run(NEXT, next_job)
    analyser = plant.analyser()
    nights.judge(analyser, NEXT)
    [anomaly] = nights.anomalies(TRAINED_DAY)
    nights.train(anomaly, **more)
    return nights, analyser


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
class TestLifeOfANightlyJob:
    def test_is_told_at_first_and_explained_from_the_next_night_on(self, plant, kind) -> None:
        nights, analyser = trained(plant, kind)
        nights.run(LATER, JOB)
        nights.judge(analyser, LATER + 1, every=5)
        # From night to night the engine learns, too: the job leaves its range by less.
        assert nights.anomalies(NEXT) == nights.anomalies(LATER) == []
        match = nights.matches(NEXT)[0]
        assert not match.is_open
        assert abs(match.started_ms - nights.at(NEXT, JOB.minute)) <= 2 * MINUTE
        assert match.ended_ms is not None
        # As an anomaly it lasts until the engine finds nothing unusual any more.
        assert match.ended_ms <= nights.at(NEXT, JOB.minute + JOB.minutes + 15)
        assert match.similarity > 50
        assert 0.5 < match.height_ratio < 1.2
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
        nights.judge(analyser, LATER, every=5)
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
            nights.judge(analyser, LATER + 1, every=every)
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
        assert len(found[0][1]) == 2

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
