"""Deleting a metric deletes what was learnt of it, and nothing of other metrics."""

from sqlalchemy import func, select

from anomify.db import session
from anomify.match.model import Match
from anomify.metric.model import Metric
from anomify.metric.queries import metric_of_any_org
from anomify.metric_deletion.delete_metric import delete_metric_and_anomalies
from anomify.pattern.matching import KnownPatterns
from anomify.pattern.model import Pattern, PatternSeries, Training
from anomify.pattern.trainability import DAY_SECONDS, MONTH_SECONDS
from tests.kit.nights import JOB, KINDS, NEXT, TRAINED_DAY, Nights, nights_of
from tests.kit.plant import Plant

TABLES = (Pattern, PatternSeries, Match, Training)


def counts(plant: Plant) -> list[int]:
    with plant.database.unit_of_work(write=False):
        return [session().scalar(select(func.count()).select_from(one)) for one in TABLES]


def test_deletes_patterns_and_matches_of_the_metric_only(plant: Plant) -> None:
    both: list[Nights] = []
    learnt = []
    for kind in KINDS[:2]:
        nights, analyser = nights_of(plant, kind), plant.analyser()
        nights.run(TRAINED_DAY, JOB)
        nights.run(NEXT, JOB)
        nights.judge(analyser, NEXT)
        durations = (DAY_SECONDS, MONTH_SECONDS)
        nights.train(nights.anomalies(TRAINED_DAY)[0], durations=durations)
        nights.judge(analyser, NEXT + 1)
        assert nights.matches(NEXT)
        both.append(nights)
        learnt.append(counts(plant))
    gone, kept = both
    with plant.database.unit_of_work():
        delete_metric_and_anomalies(metric_of_any_org(gone.metric_id), "Alice")
    assert counts(plant) == [after - first for first, after in zip(*learnt, strict=True)]
    assert gone.matches(NEXT) == []
    assert kept.matches(NEXT)
    with plant.database.unit_of_work(write=False):
        known = KnownPatterns()
        known.reload()
        assert set(known.of_metrics([gone.metric_id, kept.metric_id])) == {kept.metric_id}
        assert session().get(Metric, gone.metric_id) is None
