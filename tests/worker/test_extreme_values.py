"""Values near the limits of a float do not stop judging for other orgs."""

import math

import numpy as np
import pytest
from sqlalchemy import Connection, select, text

from anomify.anomaly.model import Span
from anomify.db import session
from anomify.metric.failing import isolated_ids, list_failing
from anomify.metric.model import Metric, Progress
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.worker.analyse import Analyser
from tests.factories import make_metric
from tests.kit.plant import POINTS, Plant, drain, noise, past, with_spike

LARGEST = float(np.finfo(np.float64).max)
SMALLEST = 5e-324


def extreme_series() -> list[np.ndarray]:
    """Series whose squares, differences or float32 forms overflow, each with several ends."""
    random = np.random.default_rng(5)
    steps = np.arange(POINTS)
    bodies = [
        noise(),
        np.full(POINTS, SMALLEST),
        np.where(steps % 2, LARGEST, -LARGEST),
        0.99 * LARGEST * np.sin(steps / 10),
        random.normal(0, 1e307, POINTS),
        np.cumsum(random.random(POINTS)) * 1e305,
        random.choice([0.0, SMALLEST, 1e-300, 1.0, 1e300, LARGEST, -LARGEST], POINTS),
        np.exp(np.linspace(-700, 709, POINTS)),
        np.exp(np.linspace(-80, 89, POINTS)),
    ]
    series = []
    for body in bodies:
        for end in (LARGEST, -LARGEST, 0.0):
            values = body.copy()
            values[-6:] = end
            series.append(values)
    return series


class TestExtremeValues:
    def test_are_judged_recorded_and_judged_again(self, plant: Plant) -> None:
        plant.watch()
        analyser = plant.analyser()
        times = past()
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            ids = [make_metric(org, f"extreme{at}").id for at in range(len(extreme_series()))]
        for metric_id, values in zip(ids, extreme_series(), strict=True):
            plant.send(metric_id, times, values)
        plant.send(plant.metric_ids[0], times, with_spike(noise(), POINTS - 10))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        for metric_id in ids:
            analyser.rebuild(metric_id)
        with plant.database.unit_of_work(write=False):
            spans = list(session().scalars(select(Span)))
            last_values = list(session().scalars(select(Progress.last_value)))
            assert list_failing() == []
        assert plant.metric_ids[0] in {span.metric_id for span in spans}
        assert set(ids) & {span.metric_id for span in spans}
        assert all(math.isfinite(value) for value in last_values)
        for span in spans:
            assert 0.0 <= span.score <= 1.0
            assert math.isfinite(span.value)
            assert span.expected_lower <= span.expected_upper
            assert span.amount is None or math.isfinite(span.amount)


def refuse_anomalies_of(connection: Connection, metric_id: int) -> None:
    """Have the database refuse every row about an anomaly of a metric."""
    if connection.dialect.name == "sqlite":
        connection.execute(
            text(
                "CREATE TRIGGER refuse_spans BEFORE INSERT ON spans"
                f" WHEN NEW.metric_id = {metric_id} BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )
    else:
        connection.execute(
            text(f"ALTER TABLE spans ADD CONSTRAINT refused CHECK (metric_id <> {metric_id})")
        )


class TestRowThatTheDatabaseRefuses:
    def test_isolates_its_metric_and_stops_no_other(self, plant: Plant) -> None:
        broken, sound = plant.metric_ids[:2]
        with plant.database.unit_of_work() as unit:
            refuse_anomalies_of(unit.connection(), broken)
        analyser = plant.analyser()
        for metric_id in (broken, sound):
            plant.send(metric_id, past(), with_spike(noise(), POINTS - 10))
        with pytest.raises(Exception, match="refuse"):
            drain(analyser)
        careful = Analyser(plant.database, plant.points.log, plant.points.chunks, is_careful=True)
        careful.recover()
        drain(careful)
        assert {metric_id for metric_id, *_ in plant.anomalies()} == {sound}
        with plant.database.unit_of_work(write=False):
            (failing,) = list_failing()
            assert failing.metric_id == broken
            assert isolated_ids() == frozenset()
            assert session().get(Metric, broken) is not None
