"""Backtests of watchers, compared with what is told live and with points followed one by one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from anomify.anomaly.model import Anomaly
from anomify.anomaly.recording import closing_after_ms
from anomify.clock import datetime_from_ms
from anomify.db import Database, session
from anomify.delivery.model import Delivery, Notification
from anomify.delivery.notify import notify_due
from anomify.incident.model import Incident
from anomify.metric.model import Metric
from anomify.metric.open_store import open_points
from anomify.metric.store import PointStore
from anomify.pipeline.announce import announcing
from anomify.pipeline.backtest import Backtest, backtest
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.watcher.model import Watcher
from anomify.watcher.threshold import Operator, Threshold
from tests.delivery.deliveries import end, rows
from tests.factories import (
    link_contact,
    make_anomaly,
    make_contact_point,
    make_metric,
    make_org,
    make_watcher,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = 60_000


@pytest.fixture
def points(database: Database, tmp_path: Path) -> Any:
    store = open_points(database, tmp_path)
    yield store
    store.close()


class TestAgainstLive:
    @given(
        begun=st.lists(
            st.tuples(
                st.integers(0, 200),
                st.integers(1, 60),
                st.sampled_from(["low", "medium", "high"]),
                st.sampled_from(["shop.a", "shop.b", "other", 'db{host="x"}']),
            ),
            min_size=1,
            max_size=6,
        ),
        quiet=st.sampled_from([60, 1800, 3600]),
        sustain=st.sampled_from([0, 900]),
        recover=st.sampled_from([0, 600]),
    )
    @settings(
        max_examples=4,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_tells_as_often_as_was_told(
        self,
        begun: list[tuple[int, int, str, str]],
        quiet: int,
        sustain: int,
        recover: int,
        database: Database,
        points: PointStore,
    ) -> None:
        with database.unit_of_work():
            for model in (Delivery, Incident, Anomaly, Watcher, Metric):
                session().execute(delete(model))
            org = make_org()
            watcher = make_watcher(
                org,
                "!other",
                severity="medium",
                expiration_seconds=quiet,
                sustain_seconds=sustain,
                recover_seconds=recover,
            )
            link_contact(watcher, make_contact_point(org))
            metrics = {name: make_metric(org, name) for name in {name for *_, name in begun}}
            self._play(begun, metrics)
            found = backtest(org.id, watcher, NOW, 1, points)
            told = [row.transition for row in rows()]
            assert found.told_count == sum(each in {"opened", "flapping"} for each in told)
            assert found.messages.get("recovered", 0) == told.count("recovered")

    @staticmethod
    def _play(begun: list[tuple[int, int, str, str]], metrics: dict[str, Metric]) -> None:
        """Announce the anomalies as they begin and end, and look at what is due each minute."""
        start = NOW - timedelta(minutes=600)
        busy: dict[str, int] = {}
        moments: dict[int, list[tuple[str, Anomaly]]] = {}
        closing = closing_after_ms(0) // MINUTE
        for at, lasts, severity, name in sorted(begun):
            if at <= busy.get(name, -1):
                continue
            busy[name] = at + lasts + closing
            anomaly = make_anomaly(
                metrics[name], start + timedelta(minutes=at), minutes=None, severity=severity
            )
            anomaly.span.last_over_ms += lasts * MINUTE
            moments.setdefault(at, []).append(("open", anomaly))
            moments.setdefault(at + lasts + closing, []).append(("close", anomaly))
        while True:
            due = session().scalar(select(func.min(Notification.due_at)))
            waits = [start + timedelta(minutes=minute) for minute in moments]
            now = min([each for each in (due, *waits) if each is not None], default=NOW)
            if now >= NOW:
                return
            for what, anomaly in moments.pop(int((now - start).total_seconds() // 60), ()):
                with announcing(now) as notifier:
                    if what == "close":
                        end(anomaly)
                        anomaly.span.ended_ms = anomaly.span.last_over_ms
                        notifier.recovered(anomaly.span)
                    else:
                        notifier.opened(anomaly.span)
            notify_due(now)


def tried(org_id: int, chips: list[str], **more: Any) -> Watcher:
    """Return a watcher that is not saved."""
    return Watcher(
        **{
            "org_id": org_id,
            "chips": chips,
            "severity": "high",
            "expiration_seconds": 60,
            "group_wait_seconds": 0,
            "sustain_seconds": 0,
            "group_interval_seconds": 300,
            "recover_seconds": 0,
            "escalation_minutes": [],
            "threshold_times": 1,
            "threshold_function": "last",
            "threshold_function_seconds": 0,
            **more,
        }
    )


class TestThresholds:
    @pytest.mark.parametrize(
        ("operator", "value", "what"),
        [
            ("greater", 90.0, [(40, "99 is above the threshold of 90.")]),
            ("less", 20.0, [(20, "10 is below the threshold of 20.")]),
            ("drop_off", 60.0, [(20, "10 is at least 60 % below the 50 before it.")]),
            ("no_data", 600.0, [(6, "No data has come for 10 minutes.")]),
        ],
    )
    def test_are_found_in_stored_points(
        self, operator: str, value: float, what: list[Any], database: Database, points: PointStore
    ) -> None:
        with database.unit_of_work():
            org_id = make_org().id
            metric_id = make_metric(session().get_one(type(make_org()), org_id), "shop").id
        times = int(NOW.timestamp() * 1000) - MINUTE * np.arange(60, 0, -1)
        values = np.full(60, 50.0)
        values[40], values[20] = 99.0, 10.0
        kept = np.r_[0:60] if operator != "no_data" else np.r_[0:45, 59:60]
        ids = np.full(len(kept), metric_id, np.int64)
        points.append(Entry(Points(ids, times[kept], values[kept]), Points.empty()))
        points.follow()
        with database.unit_of_work(write=False):
            watcher = tried(org_id, ["shop"], threshold_operator=operator, threshold_value=value)
            found: Backtest = backtest(org_id, watcher, NOW, 30, points)
        begin = int(NOW.timestamp()) - 60 * 60
        seen = [
            ((each.first.started_ms // 1000 - begin) // 60, each.first.what)
            for each in found.openings
        ]
        if operator == "no_data":
            what = [(54, what[0][1])]
        assert seen == what
        assert found.metric_count == 1

    @given(
        values=st.lists(st.sampled_from([0.0, 5.0, 10.0, 20.0]), min_size=1, max_size=40),
        gaps=st.lists(st.integers(1, 5), min_size=40, max_size=40),
        row=st.integers(1, 3),
        recover=st.sampled_from([0, 60_000, 180_000]),
    )
    @settings(max_examples=200, deadline=None)
    def test_stretches_are_those_of_following_each_point(
        self, values: list[float], gaps: list[int], row: int, recover: int
    ) -> None:
        times = np.cumsum(np.array(gaps[: len(values)], np.int64)) * MINUTE
        expected: list[tuple[int, int, bool]] = []
        run, last = 0, 0
        for place, value in enumerate(values):
            run = run + 1 if value > 7 else 0
            is_open = bool(expected) and expected[-1][2]
            if not is_open and run >= row:
                expected.append((place, place, True))
                last = place
            elif is_open and value > 7:
                last = place
                expected[-1] = expected[-1][0], place, True
            elif is_open and times[place] - times[last] > recover:
                expected[-1] = expected[-1][0], last, False
        threshold = Threshold(Operator.GREATER, 7.0, row)
        assert threshold.stretches(times, np.array(values), recover) == expected


def test_is_quick_enough_for_people(database: Database, points: PointStore) -> None:
    """A thousand metrics with anomalies in thirty days; benchmarks measure the time."""
    with database.unit_of_work():
        org = make_org()
        for number in range(50):
            metric = make_metric(org, f"m{number}")
            for day in range(0, 30, 3):
                make_anomaly(metric, NOW - timedelta(days=day, minutes=7 * number + 1))
        found = backtest(org.id, tried(org.id, ["m"]), NOW, 30, points)
    assert (found.anomaly_count, found.metric_count) == (500, 50)
    assert 0 < found.told_count <= 500
    assert datetime_from_ms(0) < found.openings[-1].at <= found.openings[0].at
