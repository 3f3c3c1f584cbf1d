"""Thresholds of watchers in the worker: what they open, tell and close, and when they do not."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import datetime_from_ms, now_ms
from anomify.db import session
from anomify.delivery.model import Delivery
from anomify.incident.model import Incident
from anomify.incident.queries import list_incidents
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.watcher.model import Watcher
from tests.factories import make_metric, make_watcher
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike

HOOK = "https://hooks.example/"


def add_threshold(plant: Plant, operator: str = "greater", value: float = 90.0, **more: Any) -> int:
    """Return a watcher of this threshold for all metrics, with a webhook."""
    fields = {
        "name": "Limit",
        "webhook_url": HOOK,
        "threshold_since": datetime_from_ms(now_ms()),
        **more,
    }
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        return make_watcher(
            org, "m", threshold_operator=operator, threshold_value=value, **fields
        ).id


def found(plant: Plant) -> list[tuple[int, int | None, float, str]]:
    """Return what thresholds have found: in minutes ago from when to when, value, sentence."""
    end = now_ms() // MINUTE
    with plant.database.unit_of_work(write=False):
        spans = session().scalars(
            select(Span).where(Span.watcher_id != 0).order_by(Span.started_ms, Span.anomaly_id)
        )
        return [
            (
                end - span.started_ms // MINUTE,
                None if span.ended_ms is None else end - span.ended_ms // MINUTE,
                round(span.value, 3),
                span.explanation,
            )
            for span in spans
        ]


def told(plant: Plant) -> list[tuple[str, str]]:
    """Return the watcher and the transition of each message."""
    with plant.database.unit_of_work(write=False):
        rows = session().scalars(select(Delivery).order_by(Delivery.created_at, Delivery.sequence))
        return [(str(row.facts["watcher_name"]), row.transition) for row in rows]


class TestPoints:
    def test_opens_after_enough_points_in_a_row_and_closes_when_it_is_over(
        self, plant: Plant
    ) -> None:
        add_threshold(plant, value=90.0, threshold_times=3)
        values = np.array([50.0, 95, 96, 50, 91, 92, 97.5, 99, 80, 70])
        plant.send(plant.metric_ids[0], past(10), values)
        drain(plant.analyser())
        sentence = "99 is above the threshold of 90, for 3 points in a row."
        assert found(plant) == [(3, 2, 99.0, sentence)]
        assert told(plant) == [("Limit", "opened"), ("Limit", "recovered")]

    def test_is_told_by_its_own_watcher_only(self, plant: Plant) -> None:
        plant.watch()
        add_threshold(plant, severity="medium")
        add_threshold(plant, "less", 10.0, name="Floor")
        plant.send(plant.metric_ids[0], past(3), np.array([50.0, 50, 95]))
        drain(plant.analyser())
        assert told(plant) == [("Limit", "opened")]
        with plant.database.unit_of_work(write=False):
            anomaly = session().scalars(select(Anomaly)).one()
            assert (anomaly.origin, session().scalars(select(Span.severity)).one()) == (
                "threshold",
                "medium",
            )

    def test_is_one_incident_with_what_the_engine_finds(self, plant: Plant) -> None:
        plant.watch()
        add_threshold(plant, value=130.0)
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), POINTS - 2))
        drain(plant.analyser())
        with plant.database.unit_of_work(write=False):
            [incident] = list_incidents(plant.org_id).items
            assert incident.anomaly_count == 2
        assert {name for name, transition in told(plant) if transition == "opened"} >= {"Limit"}
        assert [transition for name, transition in told(plant) if name == "Limit"] == ["opened"]

    def test_waits_for_the_recover_window(self, plant: Plant) -> None:
        add_threshold(plant, recover_seconds=180)
        values = np.array([95.0, 50, 50, 95, 50, 50, 50, 50, 50])
        plant.send(plant.metric_ids[0], past(9), values)
        drain(plant.analyser())
        assert [row[:2] for row in found(plant)] == [(8, 5)]

    def test_says_nothing_of_the_past(self, plant: Plant) -> None:
        add_threshold(plant)
        old = past(5, end_ms=now_ms() - 120 * MINUTE)
        plant.send(plant.metric_ids[0], old, np.full(5, 95.0))
        plant.send(plant.metric_ids[1], past(3), np.full(3, 50.0))
        analyser = plant.analyser()
        drain(analyser)
        plant.send(plant.metric_ids[1], past(3)[:2] - 1, np.full(2, 95.0))
        drain(analyser)
        assert (found(plant), told(plant)) == ([], [])

    def test_finds_nothing_while_the_watcher_is_off_and_closes_what_is_open(
        self, plant: Plant
    ) -> None:
        watcher_id = add_threshold(plant)
        analyser = plant.analyser()
        plant.send(plant.metric_ids[0], past(2), np.full(2, 95.0))
        drain(analyser)
        assert found(plant)[0][1] is None
        with plant.database.unit_of_work():
            session().get_one(Watcher, watcher_id).is_alerting = False
        drain(analyser)
        plant.send(plant.metric_ids[1], past(2), np.full(2, 95.0))
        drain(analyser)
        assert [row[:2] for row in found(plant)] == [(1, 0)]

    def test_follows_a_drop_until_the_value_is_back(self, plant: Plant) -> None:
        add_threshold(plant, "drop_off", 50.0, threshold_times=2)
        values = np.array([*[100.0] * 12, *[40.0] * 15, 90.0, 100.0])
        analyser = plant.analyser()
        for time_ms, value in zip(past(len(values)), values, strict=True):
            plant.send(plant.metric_ids[0], np.array([time_ms]), np.array([value]))
            drain(analyser)
        sentence = "40 is at least 50 % below the 100 before it, for 2 points in a row."
        assert found(plant) == [(15, 2, 40.0, sentence)]

    def test_watches_a_metric_that_comes_later(self, plant: Plant) -> None:
        add_threshold(plant)
        analyser = plant.analyser()
        plant.send(plant.metric_ids[0], past(2), np.full(2, 50.0))
        drain(analyser)
        with plant.database.unit_of_work():
            later = make_metric(session().get_one(Org, plant.org_id), "m.later").id
            other = make_metric(session().get_one(Org, plant.org_id), "other").id
        plant.send(later, past(1), np.array([95.0]))
        plant.send(other, past(1), np.array([95.0]))
        drain(analyser)
        assert [row[0] for row in found(plant)] == [0]


class TestNoData:
    def test_opens_by_the_clock_and_closes_with_the_next_point(self, plant: Plant) -> None:
        set_at = datetime_from_ms(now_ms() - 30 * MINUTE)
        add_threshold(plant, "no_data", 600.0, threshold_since=set_at)
        times = past(20, end_ms=now_ms() - 11 * MINUTE)
        plant.send(plant.metric_ids[0], times, np.full(20, 50.0))
        plant.send(plant.metric_ids[1], past(20), np.full(20, 50.0))
        analyser = plant.analyser()
        drain(analyser)
        analyser.find_metrics_without_data()
        assert found(plant) == [], "it may have had no chance to send"
        analyser._received.times_ms[:] -= 11 * MINUTE
        analyser._thresholds._started_ms -= 20 * MINUTE
        for _ in range(2):
            analyser.find_metrics_without_data()
        assert found(plant) == [(1, None, 50.0, "No data has come for 10 minutes.")]
        assert told(plant) == [("Limit", "opened")]
        plant.send(plant.metric_ids[0], past(1), np.full(1, 50.0))
        drain(analyser)
        assert [row[:2] for row in found(plant)] == [(1, 0)]
        assert told(plant) == [("Limit", "opened"), ("Limit", "recovered")]

    def test_does_not_tell_of_what_was_silent_before(self, plant: Plant) -> None:
        add_threshold(plant, "no_data", 600.0)
        times = past(20, end_ms=now_ms() - 60 * MINUTE)
        plant.send(plant.metric_ids[0], times, np.full(20, 50.0))
        analyser = plant.analyser()
        drain(analyser)
        analyser._received.times_ms[:] -= 60 * MINUTE
        analyser._thresholds._started_ms -= 60 * MINUTE
        analyser.find_metrics_without_data()
        assert found(plant) == []


def expected(
    values: list[float], operator: str, limit: float, row: int, function: str, minutes: int
) -> list[tuple[int, int | None]]:
    """Return from which index to which something is found, computed point by point."""
    functions = {"last": lambda some: some[-1], "mean": np.mean, "max": max, "sum": sum}
    spans: list[tuple[int, int | None]] = []
    is_over = []
    for place in range(len(values)):
        window = values[max(0, place - minutes + 1) : place + 1]
        value = functions[function](window)
        is_over.append(value > limit if operator == "greater" else value < limit)
        is_open = bool(spans) and spans[-1][1] is None
        if is_open and not is_over[-1]:
            spans[-1] = spans[-1][0], place - 1
        elif not is_open and place + 1 >= row and all(is_over[place + 1 - row :]):
            spans.append((place, None))
    return spans


class TestAnySplit:
    @given(
        values=st.lists(st.sampled_from([0.0, 5.0, 10.0, 15.0, 20.0]), min_size=1, max_size=25),
        cuts=st.sets(st.integers(1, 24), max_size=4),
        kills=st.sets(st.integers(0, 4), max_size=2),
        operator=st.sampled_from(["greater", "less"]),
        row=st.integers(1, 3),
        function=st.sampled_from(["last", "mean", "max", "sum"]),
    )
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_of_points_into_ticks_and_any_restart_finds_the_same(
        self,
        plant: Plant,
        values: list[float],
        cuts: set[int],
        kills: set[int],
        operator: str,
        row: int,
        function: str,
    ) -> None:
        with plant.database.unit_of_work():
            for model in (Incident, Anomaly, Watcher):
                session().execute(delete(model))
            org = session().get_one(Org, plant.org_id)
            metric_id = make_metric(org, f"m.{now_ms()}.{np.random.default_rng().random()}").id
        add_threshold(
            plant,
            operator,
            9.0,
            threshold_times=row,
            threshold_function=function,
            threshold_function_seconds=0 if function == "last" else 180,
        )
        analyser = plant.analyser()
        times = past(len(values))
        parts = np.split(np.arange(len(values)), sorted(cut for cut in cuts if cut < len(values)))
        for number, part in enumerate(parts):
            plant.send(metric_id, times[part], np.array(values)[part])
            drain(analyser)
            if number in kills:
                if number % 2:
                    analyser.checkpoint(range(PARTITIONS))
                analyser = plant.analyser()
        last = len(values) - 1
        spans = [
            (last - row[0], row[1] if row[1] is None else last - row[1]) for row in found(plant)
        ]
        assert spans == expected(values, operator, 9.0, row, function, 3)
