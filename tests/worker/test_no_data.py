"""Anomalies of metrics without data: when they open, end and are not opened."""

import numpy as np

from anomify.anomaly.queries import list_anomalies
from anomify.clock import now_ms
from anomify.db import session
from anomify.incident.queries import list_incidents
from anomify.metric.model import Metric, Progress
from anomify.metric.settings import Wanted, change_settings
from anomify.metric.state import PARTITIONS
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.kit.plant import DAY, MINUTE, POINTS, Plant, drain, noise, past, with_spike


class TestFindMetricsWithoutData:
    def test_ends_the_anomaly_of_a_metric_that_stopped(self, plant: Plant) -> None:
        times = past(end_ms=now_ms() - 20 * MINUTE)
        plant.send(plant.metric_ids[0], times, with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "its points have only just arrived"
        analyser._received.times_ms[:] = now_ms() - 20 * MINUTE
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
            assert anomaly.span.ended_by_silence

    def test_closes_the_anomaly_of_a_dormant_slow_metric(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = now_ms() - DAY * (6 + np.arange(POINTS, dtype=np.int64)[::-1])
        plant.send(metric_id, times, with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        assert plant.progress(metric_id).resolution_ms == DAY
        analyser._received.times_ms[:] = now_ms() - 2 * DAY
        analyser.checkpoint(range(PARTITIONS))
        assert len(analyser._scorer) == 0
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "it may be silent for five of its days"
        analyser._received.times_ms[:] = now_ms() - 6 * DAY
        analyser.find_metrics_without_data()
        assert plant.anomalies()[0][2] is not None

    def test_waits_again_after_a_long_time_without_a_worker(self, plant: Plant) -> None:
        times = past(end_ms=now_ms() - 600 * MINUTE)
        plant.send(plant.metric_ids[0], times, with_spike(noise(), POINTS - 2))
        first = plant.analyser()
        drain(first)
        first.checkpoint(range(PARTITIONS))
        second = plant.analyser()
        second.find_metrics_without_data()
        assert plant.anomalies()[0][2] is None, "its sender may only now be able to send again"
        second._received.times_ms[:] -= 6 * MINUTE
        second.find_metrics_without_data()
        assert plant.anomalies()[0][2] is not None


class TestNoDataAnomaly:
    def silenced(self, plant: Plant, count: int = 300) -> Analyser:
        """Return an analyser that received nothing of the first metric for ten minutes."""
        times = past(count, end_ms=now_ms() - 10 * MINUTE)
        plant.watch()
        plant.send(plant.metric_ids[0], times, noise(count))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        return analyser

    def test_opens_an_announced_anomaly_of_its_own(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        analyser.find_metrics_without_data()
        [(metric_id, started, ended, severity)] = plant.anomalies()
        last_ms = plant.progress(metric_id).judged_until_ms
        assert (started, ended, severity) == (last_ms + MINUTE, None, "medium")
        assert plant.announced() == [("opened", started)]
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
            assert anomaly.span.evidence == "silent"
            assert anomaly.span.since_ms == last_ms
            assert anomaly.span.explanation.startswith("No data has come, though a point")

    def test_ends_when_data_returns(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        [(metric_id, started, _, _)] = plant.anomalies()
        back = past(2)
        plant.send(metric_id, back, noise(2))
        drain(analyser)
        [(_, again, ended, _)] = plant.anomalies()
        assert (again, ended) == (started, back[0])
        assert plant.announced() == [("opened", started), ("recovered", started)]
        analyser._overdue._from_ms -= 60 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 2, "it has fallen silent once more"

    def test_is_opened_once_by_the_next_worker(self, plant: Plant) -> None:
        self.silenced(plant).find_metrics_without_data()
        analyser = plant.analyser()
        analyser.find_metrics_without_data()
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 1

    def test_is_not_opened_for_the_time_without_a_worker(self, plant: Plant) -> None:
        self.silenced(plant)
        with plant.database.unit_of_work():
            for progress in session().query(Progress):
                progress.silent_from_ms = now_ms() - 2 * MINUTE
        analyser = plant.analyser()
        analyser.find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_while_the_metric_learns(self, plant: Plant) -> None:
        self.silenced(plant, count=90).find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_for_history_that_is_sent_once(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(300, end_ms=now_ms() - 3 * DAY), noise(300))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= DAY
        analyser.find_metrics_without_data()
        assert plant.anomalies() == []

    def test_is_not_opened_where_the_settings_allow_silence(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            metric = session().get_one(Metric, plant.metric_ids[0])
            change_settings(metric, Wanted(may_be_silent=True), "Alice")
        self.silenced(plant).find_metrics_without_data()
        assert plant.anomalies() == []

    def test_ends_when_the_settings_allow_silence(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work():
            metric = session().get_one(Metric, plant.metric_ids[0])
            change_settings(metric, Wanted(may_be_silent=True), "Alice")
        analyser.reload_settings()
        analyser.find_metrics_without_data()
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is not None

    def test_ends_when_the_sender_marks_the_series_as_ended(self, plant: Plant) -> None:
        analyser = self.silenced(plant)
        analyser.find_metrics_without_data()
        metric_id = plant.metric_ids[0]
        ended = np.array([now_ms()])
        plant.points.append(
            Entry(Points.empty(), Points(np.array([metric_id]), ended, np.zeros(1)))
        )
        drain(analyser)
        assert plant.progress(metric_id).silent_from_ms is None
        [(_, _, ended_ms, _)] = plant.anomalies()
        assert ended_ms is not None

    def test_lasts_longer_where_points_are_sent_together(self, plant: Plant) -> None:
        singly, together = plant.metric_ids[:2]
        times, values = past(300), noise(300)
        for start in range(0, 300, 20):
            plant.send(together, times[start : start + 20], values[start : start + 20])
        for time, value in zip(times, values, strict=True):
            plant.send(singly, np.array([time]), np.array([value]))
        drain(plant.analyser())
        waits = [
            plant.progress(metric_id).silent_from_ms - now_ms() for metric_id in (singly, together)
        ]
        assert waits[0] <= 5 * MINUTE
        assert 20 * MINUTE < waits[1] <= 25 * MINUTE

    def test_of_a_metric_with_an_anomaly_ends_that_one(self, plant: Plant) -> None:
        plant.send(plant.metric_ids[0], past(), with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser._received.times_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work(write=False):
            page = list_anomalies(plant.org_id, oldest_first=True)
            [(_, spike), (_, silence)] = [(one.id, one.span) for one in page.items]
            assert (spike.is_open, spike.ended_by_silence, spike.is_silence) == (False, True, False)
            assert (silence.is_open, silence.is_silence) == (True, True)

    def test_of_many_metrics_at_once_is_recorded_for_all_and_told_as_one(
        self, plant: Plant
    ) -> None:
        plant.watch()
        for metric_id in plant.metric_ids:
            plant.send(metric_id, past(300), noise(300))
        analyser = plant.analyser()
        drain(analyser)
        analyser._overdue._from_ms -= 10 * MINUTE
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == 3
        assert len(plant.announced()) == 1
        with plant.database.unit_of_work(write=False):
            [incident] = list_incidents(plant.org_id).items
            assert incident.anomaly_count == 3
