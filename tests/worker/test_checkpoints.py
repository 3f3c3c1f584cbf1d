"""Checkpoints on real databases: nothing is lost or recorded twice after a kill at any step."""

from datetime import timedelta

import numpy as np
import pytest
import time_machine
from sqlalchemy import event

from anomify.anomaly.model import Span
from anomify.clock import now
from anomify.db import session
from anomify.metric.deleting import delete_metric, list_unsettled
from anomify.metric.model import DormantState, Metric
from anomify.metric.settings import Wanted, change_settings
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.series import Judgements, Points
from anomify.worker import checkpoints
from anomify.worker.loop import DROP_EVERY_SECONDS
from tests.factories import make_anomaly, make_metric, make_org
from tests.kit.killed import Killed
from tests.kit.plant import POINTS, Plant, drain, noise, past, with_spike


class TestKilledInCheckpoint:
    @pytest.mark.parametrize("step", ["seal", "keep_checkpoint", "prune_judged", "prune"])
    @pytest.mark.parametrize("before", [False, True])
    def test_loses_and_duplicates_nothing(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, *, step: str, before: bool
    ) -> None:
        """It dies right before or right after each step; metric ids share their partitions."""
        killed, whole = plant.metric_ids[:2]
        times, values = past(), with_spike(noise(), 500)
        half = POINTS // 2
        first = plant.analyser()
        plant.send(killed, times[:half], values[:half])
        # Of these the last one is corrected, so that there is something late to be sealed.
        plant.send(killed, times[half - 1 : half], values[half - 1 : half] + 1)
        drain(first)
        home = {"seal": first._chunks, "prune": first._log}.get(step, checkpoints)
        real = getattr(home, step)

        def die(*arguments: object) -> None:
            if not before:
                real(*arguments)
            raise Killed

        monkeypatch.setattr(home, step, die)
        with pytest.raises(Killed):
            first.checkpoint(range(PARTITIONS))
        monkeypatch.undo()

        second = plant.analyser()
        assert plant.read(killed).values.tolist()[:-1] == values[: half - 1].tolist()
        plant.send(killed, times[half:], values[half:])
        drain(second)
        second.checkpoint(range(PARTITIONS))
        assert plant.points.log.read(0) == []
        plant.send(whole, times, values)
        drain(second)
        ids = [np.array([metric_id]) for metric_id in (killed, whole)]
        assert second._scorer.snapshot_of(ids[0]) == second._scorer.snapshot_of(ids[1])
        series, undisturbed = plant.read(killed), plant.read(whole)
        assert series.times.tolist() == times.tolist()
        np.testing.assert_array_equal(series.judgements.scores, undisturbed.judgements.scores)
        [one, other] = plant.anomalies()
        assert one[1:] == other[1:]
        assert plant.progress(killed).late_points == 1


class TestCheckpoint:
    def test_prunes_the_log_and_keeps_every_point(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        plant.send(metric_id, times, values)
        analyser = plant.analyser()
        drain(analyser)
        text = plant.read(metric_id).judgements.lowers
        analyser.checkpoint(range(PARTITIONS))
        assert plant.points.log.read(0) == []
        series = plant.read(metric_id)
        assert series.values.tolist() == values.tolist()
        np.testing.assert_array_equal(series.judgements.lowers, text)

    def test_unloads_a_dormant_metric_and_loads_it_with_its_next_point(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(300), noise(300)
        plant.send(metric_id, times[:-1], values[:-1])
        analyser = plant.analyser()
        drain(analyser)
        analyser._received.times_ms[:] = 1
        analyser.checkpoint(range(PARTITIONS))
        assert len(analyser._scorer) == 0
        plant.send(metric_id, times[-1:], values[-1:])
        drain(analyser)
        assert plant.progress(metric_id).points_seen == 300
        # It dies before the next checkpoint, and wakes the metric once more.
        again = plant.analyser()
        ids = np.array([metric_id])
        assert again._scorer.snapshot_of(ids) == analyser._scorer.snapshot_of(ids)
        again.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work(write=False):
            assert session().get(DormantState, metric_id) is None


class TestOpenAnomalies:
    def test_of_others_are_not_loaded_however_many_there_are(self, plant: Plant) -> None:
        analyser = plant.analyser()
        one, _, quiet = plant.metric_ids
        with plant.database.unit_of_work():
            globex = make_org("Globex")
            for number in range(50):
                found = make_anomaly(make_metric(globex, f"g{number}"), now(), minutes=None)
                found.span.is_silence = bool(number % 2)
        plant.send(quiet, past(), noise())
        drain(analyser)
        loaded: list[int] = []

        def note(span: Span, _: object) -> None:
            loaded.append(span.metric_id)

        event.listen(Span, "load", note)
        times, values = past(), noise()
        values[-15:] += 60
        plant.send(one, times[:-10], values[:-10])
        drain(analyser)
        plant.send(one, times[-10:], values[-10:])
        drain(analyser)
        analyser.find_metrics_without_data()
        with plant.database.unit_of_work():
            change_settings(session().get_one(Metric, quiet), Wanted(may_be_silent=True), "Alice")
        analyser.reload_settings()
        analyser.checkpoint(range(PARTITIONS))
        event.remove(Span, "load", note)
        assert set(loaded) == {one}
        assert plant.anomalies()[0][2] is None


class TestDropDeleted:
    def test_deletes_stored_points_within_the_hour_and_late_ones_after_it(
        self, plant: Plant
    ) -> None:
        analyser = plant.analyser()
        start = now()
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            metrics = [make_metric(org, f"gone{number}") for number in range(1_250)]
            session().flush()
            ids = [metric.id for metric in metrics]
        times = np.full(len(ids), past()[-1])
        points = Points(np.array(ids), times, np.ones(len(ids)))
        analyser._chunks.seal(points, Judgements.none(len(ids)), 0)
        with plant.database.unit_of_work():
            for metric in metrics:
                delete_metric(metric, "Alice")
        for second in range(0, 3_600, DROP_EVERY_SECONDS):
            with time_machine.travel(start + timedelta(seconds=second), tick=False):
                analyser.drop_deleted()
                with plant.database.unit_of_work(write=False):
                    if not list_unsettled(now(), 1):
                        break
        assert second < 1_800
        assert not analyser._chunks.latest(np.array(ids))
        # What waited in the log was sealed afterwards.
        analyser._chunks.seal(points.of(np.arange(7)), Judgements.none(7), 1)
        with time_machine.travel(start + timedelta(minutes=61)):
            for _ in range(20):
                analyser.drop_deleted()
        assert not analyser._chunks.latest(np.array(ids))
        with (
            time_machine.travel(start + timedelta(days=3)),
            plant.database.unit_of_work(write=False),
        ):
            assert not list_unsettled(now(), 1)
