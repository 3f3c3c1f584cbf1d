"""A nightly job in the nights after it was trained, with noise and jobs as real ones have."""

import pytest

from anomify.db import session
from anomify.org.model import Org
from tests.factories import make_metric
from tests.kit.nights import KINDS, NEXT, TRAINED_DAY, Job, Nights, Variation, judge_together
from tests.kit.plant import MINUTE, Plant

NIGHTS = 4
SEEDS = (3, 11, 27)
LONG = Variation(memory=0.9, season=20.0)


def metrics_of(plant: Plant, jobs: dict[int, Job], variation: Variation) -> list[Nights]:
    """Return metrics of all kinds, several of each, with a job on each of these days."""
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        named = [
            (make_metric(org, f"{kind.name}.{seed}").id, kind, seed)
            for kind in KINDS
            for seed in SEEDS
        ]
    found = []
    for metric_id, kind, seed in named:
        nights = Nights(plant, metric_id, kind, max(jobs) + 1, seed, variation=variation)
        for day, job in jobs.items():
            nights.run(day, job)
        found.append(nights)
    return found


@pytest.mark.parametrize(
    ("job", "variation"),
    [
        (Job(), Variation()),
        (Job(height=20.0), Variation()),
        (Job(minutes=150), LONG),
        (Job(minutes=5), Variation()),
    ],
    ids=["usual", "low", "long and noisy", "short"],
)
def test_a_trained_job_is_quiet_in_every_night_that_follows(
    plant: Plant, job: Job, variation: Variation
) -> None:
    metrics = metrics_of(plant, dict.fromkeys(range(TRAINED_DAY, NEXT + NIGHTS), job), variation)
    analyser = plant.analyser()
    judge_together(metrics, analyser, NEXT)
    for nights in metrics:
        found = nights.anomalies(TRAINED_DAY)
        assert found, nights.kind
        nights.train(found[0])
    for day in range(NEXT, NEXT + NIGHTS):
        judge_together(metrics, analyser, day, job.minute + job.minutes + 60, every=30)
        judge_together(metrics, analyser, day + 1)
    told = [
        (nights.kind.name, nights.seed, day, (one.span.started_ms - nights.at(day)) // MINUTE)
        for nights in metrics
        for day in range(NEXT, NEXT + NIGHTS)
        for one in nights.anomalies(day)
    ]
    assert told == []
    for nights in metrics:
        matches = nights.matches(NEXT)
        assert len(matches) == 1, (nights.kind, nights.seed)
        # A low job may be found late, by the mean of its points.
        late = (matches[0].started_ms - nights.at(NEXT, job.minute)) // MINUTE
        assert -3 <= late < job.minutes, (nights.kind, nights.seed)


@pytest.mark.parametrize(
    "job",
    [Job(height=150.0), Job(height=-60.0), Job(minutes=90), Job(minute=420)],
    ids=["larger", "other direction", "longer", "other hour"],
)
def test_a_job_that_differs_in_the_next_night_is_told(plant: Plant, job: Job) -> None:
    metrics = metrics_of(plant, {TRAINED_DAY: Job(), NEXT: job}, Variation())
    analyser = plant.analyser()
    judge_together(metrics, analyser, NEXT)
    for nights in metrics:
        nights.train(nights.anomalies(TRAINED_DAY)[0])
    judge_together(metrics, analyser, NEXT + 1, every=30)
    assert [nights.kind for nights in metrics if not nights.anomalies(NEXT)] == []
