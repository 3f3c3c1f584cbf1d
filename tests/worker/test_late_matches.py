"""Matches of a job that is found late in its night, because the range has widened by then."""

import pytest

from anomify.db import session
from anomify.org.model import Org
from tests.factories import make_metric
from tests.kit.nights import (
    KINDS,
    NEXT,
    TRAINED_DAY,
    Job,
    Nights,
    Variation,
    judge_together,
)
from tests.kit.plant import Plant

SEEDS = (3, 11, 27)
LONG = Job(minutes=150)
NIGHTS = range(NEXT, NEXT + 3)


def recorded(metrics: list[Nights]) -> list[tuple]:
    return [
        (
            *(one.id, one.metric_id, one.pattern_id, one.kind, one.started_ms, one.last_ms),
            *(one.ended_ms, one.is_open, one.value, one.onset_lower, one.onset_upper),
            one.similarity,
        )
        for nights in metrics
        for day in NIGHTS
        for one in nights.matches(day)
    ]


def is_late(match) -> bool:
    """Return whether the range that it left is that of its pattern, at another level."""
    pattern = match.pattern
    width = pattern.expected_upper - pattern.expected_lower
    return match.onset_upper - match.onset_lower == pytest.approx(width, rel=1e-9)


def test_a_rebuild_finds_them_again_and_announces_nothing(plant: Plant) -> None:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        ids = [make_metric(org, f"m.{seed}").id for seed in SEEDS]
    plant.watch()
    varied = Variation(memory=0.9, season=20.0)
    metrics = [
        Nights(plant, metric_id, KINDS[0], NIGHTS[-1] + 2, seed, variation=varied)
        for metric_id, seed in zip(ids, SEEDS, strict=True)
    ]
    for nights in metrics:
        for day in (TRAINED_DAY, *NIGHTS):
            nights.run(day, LONG)
    analyser = plant.analyser()
    judge_together(metrics, analyser, NEXT)
    for nights in metrics:
        nights.train(nights.anomalies(TRAINED_DAY)[0])
    for day in NIGHTS:
        judge_together(metrics, analyser, day, LONG.minute + LONG.minutes + 60, every=30)
    judge_together(metrics, analyser, NIGHTS[-1] + 1)
    found, announced = recorded(metrics), plant.announced()
    assert any(is_late(one) for nights in metrics for day in NIGHTS for one in nights.matches(day))
    for nights in metrics:
        analyser.rebuild(nights.metric_id)
    assert recorded(metrics) == found
    assert plant.announced() == announced
    assert [nights.anomalies(day) for nights in metrics for day in NIGHTS] == [[]] * 9
