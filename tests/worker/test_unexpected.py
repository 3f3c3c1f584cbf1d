"""What is like an anomaly that a person has called unexpected is told, whatever is expected."""

import pytest

from anomify.anomaly.queries import get_anomaly
from anomify.anomaly.wording import explanation_of
from anomify.db import session
from anomify.org.model import Org
from anomify.pattern.training import withdraw_label
from tests.factories import make_metric
from tests.kit.nights import (
    ALICE,
    JOB,
    KINDS,
    LATER,
    NEXT,
    TRAINED_DAY,
    Job,
    Nights,
    Variation,
    judge_together,
    nights_of,
)
from tests.kit.plant import MINUTE, Plant

REASON = "Like “Nightly job”, marked as expected by Alice, but also like what was marked as"
SEEDS = (3, 11, 27)
# Beyond what a pattern allows for, and within it but nearer to that than to the pattern.
HIGHER, HIGH = JOB.height * 1.3, JOB.height * 1.2


def judge_night(nights: Nights, analyser, day: int) -> None:
    """Judge the minutes of a day in which jobs run, and the rest of it at once."""
    nights.judge(analyser, day, JOB.minute - 5)
    nights.judge(analyser, day, JOB.minute + 3 * JOB.minutes, every=15)
    nights.judge(analyser, day + 1)


def with_jobs(plant: Plant, *jobs: Job | None) -> tuple[Nights, object]:
    """Judge the day of the first of some jobs, which run in one night each."""
    nights, analyser = nights_of(plant, days=TRAINED_DAY + len(jobs) + 1), plant.analyser()
    for night, job in enumerate(jobs):
        nights.run(TRAINED_DAY + night, job)
    nights.judge(analyser, NEXT)
    return nights, analyser


def reasons(nights: Nights, day: int) -> list[str | None]:
    return [one.span.outgrown_reason for one in nights.anomalies(day)]


class TestUnexpectedFirst:
    @pytest.fixture
    def both(self, plant: Plant):
        """One job marked as unexpected, and its like in the next night as expected."""
        nights, analyser = with_jobs(plant, JOB, JOB, JOB)
        nights.train(nights.anomalies(TRAINED_DAY)[0], expected=False, label="")
        judge_night(nights, analyser, NEXT)
        [told] = [one for one in nights.anomalies(NEXT) if one.span.outgrown_reason is None][:1]
        nights.train(told)
        return nights, analyser

    def test_its_like_is_told_with_the_reason(self, both) -> None:
        nights, analyser = both
        judge_night(nights, analyser, LATER)
        first = nights.anomalies(LATER)[0].span
        assert abs(first.started_ms - nights.at(LATER, JOB.minute)) <= 3 * MINUTE
        assert first.outgrown_reason.startswith(REASON)
        assert explanation_of(first, "UTC").endswith(first.outgrown_reason)
        before = [(one.id, one.span.outgrown_reason) for one in nights.anomalies(LATER)]
        analyser.rebuild(nights.metric_id)
        assert [(one.id, one.span.outgrown_reason) for one in nights.anomalies(LATER)] == before

    def test_its_like_is_quiet_once_that_is_taken_back(self, both, plant: Plant) -> None:
        nights, analyser = both
        with plant.database.unit_of_work():
            anomaly = get_anomaly(plant.org_id, nights.anomalies(TRAINED_DAY)[0].id)
            withdraw_label(anomaly, ALICE)
        judge_night(nights, analyser, LATER)
        assert nights.anomalies(LATER) == []
        assert nights.matches(LATER)


class TestUnexpectedLater:
    def test_what_is_nearer_to_it_in_size_than_to_the_pattern_is_told(self, plant: Plant) -> None:
        nights, analyser = with_jobs(plant, JOB, Job(height=HIGHER), Job(height=HIGH))
        nights.train(nights.anomalies(TRAINED_DAY)[0])
        judge_night(nights, analyser, NEXT)
        nights.train(nights.anomalies(NEXT)[0], expected=False, label="")
        judge_night(nights, analyser, LATER)
        assert nights.anomalies(LATER)

    @pytest.mark.parametrize(
        "other",
        [Job(height=1.6 * JOB.height), Job(minutes=2 * JOB.minutes)],
        ids=["larger", "longer"],
    )
    def test_the_usual_job_is_quiet_afterwards(self, plant: Plant, other: Job) -> None:
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            ids = [make_metric(org, f"jobs.{seed}").id for seed in SEEDS]
        metrics = [
            Nights(plant, metric_id, KINDS[0], LATER + 2, seed, variation=Variation())
            for metric_id, seed in zip(ids, SEEDS, strict=True)
        ]
        for nights in metrics:
            for day, job in ((TRAINED_DAY, JOB), (NEXT, other), (LATER, JOB)):
                nights.run(day, job)
        analyser = plant.analyser()
        judge_together(metrics, analyser, NEXT)
        for nights in metrics:
            nights.train(nights.anomalies(TRAINED_DAY)[0])
        judge_together(metrics, analyser, LATER)
        for nights in metrics:
            nights.train(nights.anomalies(NEXT)[0], expected=False, label="")
        judge_together(metrics, analyser, LATER, JOB.minute - 5)
        judge_together(metrics, analyser, LATER, JOB.minute + 2 * JOB.minutes, every=10)
        judge_together(metrics, analyser, LATER + 1)
        assert [nights.seed for nights in metrics if nights.anomalies(LATER)] == []
        assert [nights.seed for nights in metrics if not nights.matches(LATER)] == []

    def test_the_longer_one_is_told_even_if_only_its_end_is_found(self, plant: Plant) -> None:
        longer = Job(minutes=2 * JOB.minutes)
        nights, analyser = with_jobs(plant, JOB, longer, JOB, longer)
        nights.train(nights.anomalies(TRAINED_DAY)[0])
        judge_night(nights, analyser, NEXT)
        nights.train(nights.anomalies(NEXT)[0], expected=False, label="")
        judge_night(nights, analyser, LATER)
        assert nights.anomalies(LATER) == []
        judge_night(nights, analyser, LATER + 1)
        assert nights.anomalies(LATER + 1)

    def test_a_running_like_of_it_becomes_an_anomaly(self, plant: Plant) -> None:
        """Marked as unexpected while the next one runs, which a pattern explained so far."""
        nights, analyser = with_jobs(plant, JOB, JOB, JOB)
        first = nights.anomalies(TRAINED_DAY)[0]
        judge_night(nights, analyser, NEXT)
        second = nights.anomalies(NEXT)[0]
        nights.train(second)
        nights.judge(analyser, LATER, JOB.minute + 15, every=15)
        [match] = nights.matches(LATER)
        assert match.is_open
        nights.train(first, expected=False, label="")
        nights.judge(analyser, LATER, JOB.minute + 20)
        [told] = nights.anomalies(LATER)
        assert told.span.started_ms == match.started_ms
        assert told.span.outgrown_reason.startswith(REASON)
