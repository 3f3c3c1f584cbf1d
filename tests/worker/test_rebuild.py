"""A metric's past is judged again: which anomalies are found or kept, and what is announced."""

from datetime import timedelta

import numpy as np
from sqlalchemy import delete, select

from anomify.anomaly.model import Span
from anomify.clock import now, now_ms
from anomify.db import session
from anomify.delivery.model import Delivery
from anomify.metric.model import Rebuild
from anomify.metric.progress import MOST_REBUILD_ATTEMPTS, REBUILD_LEASE, request_rebuild
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.worker.rebuild import rebuild_one
from tests.factories import make_metric
from tests.kit.plant import DAY, MINUTE, POINTS, Plant, drain, noise, past, with_spike

SPIKE = 3


def wait_for_rebuild(plant: Plant, metric_id: int) -> None:
    """Ask for a rebuild that is due at once."""
    with plant.database.unit_of_work():
        request_rebuild(metric_id, "late points", now() - timedelta(minutes=1))


def scored(plant: Plant, metric_id: int) -> list[int]:
    """Return the times of the points of which a score is kept."""
    series = plant.points.chunks.read_all(metric_id)
    return series.times[np.isfinite(series.judgements.scores)].tolist()


class TestRebuildOne:
    def test_does_nothing_where_none_is_due(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            request_rebuild(plant.metric_ids[0], "late points", now())
        assert not rebuild_one(plant.database, plant.analyser())
        assert plant.rebuilds() == plant.metric_ids[:1]

    def test_removes_a_finished_one_from_the_queue(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.send(metric_id, past(), noise())
        analyser = plant.analyser()
        drain(analyser)
        wait_for_rebuild(plant, metric_id)
        assert rebuild_one(plant.database, analyser)
        assert plant.rebuilds() == []
        assert not rebuild_one(plant.database, analyser)

    def test_does_one_again_that_was_asked_for_while_it_was_done(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.send(metric_id, past(), noise())
        analyser = plant.analyser()
        drain(analyser)
        wait_for_rebuild(plant, metric_id)
        reload = analyser._settings.reload

        def reload_too_early() -> None:
            reload()
            wait_for_rebuild(plant, metric_id)
            analyser._settings.reload = reload

        analyser._settings.reload = reload_too_early
        assert rebuild_one(plant.database, analyser)
        assert plant.rebuilds() == [metric_id], "what was set meanwhile is not judged by yet"
        assert rebuild_one(plant.database, analyser), "it need not wait for the lease"
        assert plant.rebuilds() == []

    def test_stores_why_one_failed_and_continues_with_the_others(self, plant: Plant) -> None:
        broken, sound = plant.metric_ids[:2]
        for metric_id in (broken, sound):
            plant.send(metric_id, past(), noise())
        analyser = plant.analyser()
        drain(analyser)
        wait_for_rebuild(plant, broken)
        wait_for_rebuild(plant, sound)
        rebuild = analyser.rebuild

        def rebuild_unless_broken(metric_id: int) -> None:
            if metric_id == broken:
                raise OSError("the disk has gone")
            rebuild(metric_id)

        analyser.rebuild = rebuild_unless_broken
        while rebuild_one(plant.database, analyser):
            pass
        with plant.database.unit_of_work(write=False):
            [left] = session().query(Rebuild)
            assert (left.metric_id, left.last_error) == (broken, "OSError: the disk has gone")

    def test_gives_up_after_some_attempts_until_more_points_come_late(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        wait_for_rebuild(plant, metric_id)
        analyser = plant.analyser()
        analyser.rebuild = lambda metric_id: metric_id // 0
        for attempt in range(MOST_REBUILD_ATTEMPTS):
            assert rebuild_one(plant.database, analyser)
            assert not rebuild_one(plant.database, analyser), "it waits for its pause"
            with plant.database.unit_of_work():
                rebuild = session().get_one(Rebuild, metric_id)
                assert rebuild.attempts == attempt + 1
                rebuild.due_at -= REBUILD_LEASE + timedelta(seconds=1)
        assert not rebuild_one(plant.database, analyser)
        wait_for_rebuild(plant, metric_id)
        assert rebuild_one(plant.database, analyser)


class TestMessages:
    def test_announce_an_anomaly_that_is_still_open(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        times, values = past(), with_spike(noise(), POINTS - SPIKE)
        analyser = plant.analyser()
        # The newest point comes first, so that all others are late.
        plant.send(metric_id, times[-1:], values[-1:])
        plant.send(metric_id, times, values)
        drain(analyser)
        assert plant.announced() == []
        analyser.rebuild(metric_id)
        assert plant.announced() == [("opened", times[-SPIKE])]
        analyser.rebuild(metric_id)
        assert plant.announced() == [("opened", times[-SPIKE])], "once is enough"

    def test_are_not_sent_about_what_ended_over_an_hour_ago(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        times, values = past(), with_spike(noise(), POINTS - 70)
        analyser = plant.analyser()
        plant.send(metric_id, times[-1:], values[-1:])
        plant.send(metric_id, times, values)
        drain(analyser)
        analyser.rebuild(metric_id)
        assert [started for _, started, _, _ in plant.anomalies()] == [times[-70]]
        assert plant.announced() == []

    def test_include_a_recovery_when_an_announced_anomaly_is_over(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        start = POINTS - 20
        times, values = past(), noise()
        analyser = plant.analyser()
        wrong = values.copy()
        wrong[start:] += 60
        plant.send(metric_id, times, wrong)
        drain(analyser)
        assert plant.announced() == [("opened", times[start])]
        corrected = slice(start + SPIKE, None)
        plant.send(metric_id, times[corrected], values[corrected])
        drain(analyser)
        assert plant.anomalies()[0][2] is None
        analyser.rebuild(metric_id)
        assert plant.announced() == [("opened", times[start]), ("recovered", times[start])]

    def test_include_a_recovery_when_an_announced_anomaly_is_not_found_again(
        self, plant: Plant
    ) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        start = POINTS - 20
        times, values = past(), noise()
        analyser = plant.analyser()
        wrong = values.copy()
        wrong[start:] += 60
        plant.send(metric_id, times, wrong)
        drain(analyser)
        plant.send(metric_id, times[start:], values[start:])
        drain(analyser)
        analyser.rebuild(metric_id)
        assert plant.announced() == [("opened", times[start]), ("recovered", times[start])]
        [(_, started, ended, _)] = plant.anomalies()
        assert started == times[start], "its link was sent, so it stays"
        assert ended is not None

    def test_are_sent_by_the_severity_that_an_anomaly_keeps(self, plant: Plant) -> None:
        """Its past was longer when it was found: the rebuild finds another severity."""
        metric_id = plant.metric_ids[0]
        plant.watch(severity="medium")
        times = past()
        analyser = plant.analyser()
        plant.send(metric_id, times, with_spike(noise(), POINTS - SPIKE))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        plant.points.drop_before(int(times[300]))
        with plant.database.unit_of_work():
            span = session().scalars(select(Span)).one()
            found, span.severity = span.severity, "low"
            session().execute(delete(Delivery))
        assert found in {"medium", "high"}
        analyser.rebuild(metric_id)
        assert [severity for *_, severity in plant.anomalies()] == ["low"]
        assert plant.announced() == []

    def test_are_not_sent_about_a_deleted_anomaly_that_was_not_announced(
        self, plant: Plant
    ) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyser = plant.analyser()
        plant.send(metric_id, times, with_spike(values, 500))
        drain(analyser)
        assert len(plant.anomalies()) == 1
        plant.send(metric_id, times[495:510], values[495:510])
        drain(analyser)
        analyser.rebuild(metric_id)
        assert plant.anomalies() == []


class TestKept:
    def test_keeps_the_anomalies_of_a_past_whose_points_are_deleted(self, plant: Plant) -> None:
        """Wherever the chunks begin, so however few points before the second one are left."""
        analyser = plant.analyser()
        times, values = past(), with_spike(with_spike(noise(), 150), 500, height=90.0)
        shifts = range(0, BUCKET_MS, 7 * MINUTE)
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            metrics = {make_metric(org, f"shifted{shift}").id: shift for shift in shifts}
        for metric_id, shift in metrics.items():
            plant.send(metric_id, times - shift, values)
        drain(analyser)
        before = plant.anomalies()
        for metric_id, shift in metrics.items():
            found = [started for whose, started, _, _ in before if whose == metric_id]
            assert found == [times[150] - shift, times[500] - shift]
        analyser.checkpoint(range(PARTITIONS))
        plant.points.drop_before(int(times[300]))
        scores = {metric_id: scored(plant, metric_id) for metric_id in metrics}
        for _ in range(2):
            for metric_id in metrics:
                analyser.rebuild(metric_id)
                assert set(scored(plant, metric_id)) == set(scores[metric_id])
            # With a shorter past a metric is judged as a new one: an alert may come a point later.
            after = {
                (whose, started): severity for whose, started, _, severity in plant.anomalies()
            }
            assert len(after) == len(before)
            for whose, started, _, severity in before:
                near = [after.get((whose, started + late)) for late in (0, MINUTE)]
                assert severity in near, (whose, started)

    def test_keeps_anomalies_found_by_a_deleted_past_that_are_not_found_again(
        self, plant: Plant
    ) -> None:
        metric_id = plant.metric_ids[0]
        end_ms = now_ms() // BUCKET_MS * BUCKET_MS
        # At night it is quiet, and what is usual by day is most unusual then.
        times = past(6 * 1440, end_ms=end_ms)
        values = noise(len(times)) + 50 * (times % DAY >= DAY // 2)
        at = len(times) - 2 * 1440 + int(np.argmin(times[-1440:] % DAY)) + 300
        values[at : at + 5] = 150
        analyser = plant.analyser()
        plant.send(metric_id, times, values)
        drain(analyser)
        before = plant.anomalies()
        assert any(times[at] <= started <= times[at + 4] for _, started, _, _ in before)
        analyser.checkpoint(range(PARTITIONS))
        plant.points.drop_before(int(times[at]) - 8 * 60 * MINUTE)
        analyser.rebuild(metric_id)
        assert set(plant.anomalies()) >= {each for each in before if each[1] >= times[at]}

    def test_judges_corrected_points_of_a_shortened_past_again(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times = past(end_ms=now_ms() // BUCKET_MS * BUCKET_MS)
        values = noise()
        analyser = plant.analyser()
        plant.send(metric_id, times, with_spike(values, 500))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        plant.points.drop_before(int(times[300]))
        # What was wrong is corrected, and what was missed comes late.
        plant.send(metric_id, times[495:510], values[495:510])
        plant.send(metric_id, times[550:553], values[550:553] + 60)
        drain(analyser)
        analyser.rebuild(metric_id)
        assert [started for _, started, _, _ in plant.anomalies()] == [times[550]]

    def test_keeps_points_that_come_while_it_waits(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyser = plant.analyser()
        plant.send(metric_id, times[300:], values[300:])
        drain(analyser)
        plant.send(metric_id, times[:300], values[:300], is_backfill=True)
        drain(analyser)
        # In the log, and not judged yet, when the rebuild begins.
        plant.send(metric_id, times[-1:] + MINUTE, np.full(1, 100.0))
        analyser.rebuild(metric_id)
        assert plant.progress(metric_id).points_seen == POINTS
        drain(analyser)
        assert plant.progress(metric_id).points_seen == POINTS + 1
        series = plant.read(metric_id)
        assert len(series) == POINTS + 1
        assert np.isfinite(series.judgements.scores[100:]).all()

    def test_is_as_if_it_had_been_done_when_the_worker_dies_right_after(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 300)
        first = plant.analyser()
        plant.send(metric_id, times[550:], values[550:])
        drain(first)
        plant.send(metric_id, times[:550], values[:550], is_backfill=True)
        drain(first)
        first.rebuild(metric_id)
        ids = np.array([metric_id])
        second = plant.analyser()
        assert second._scorer.snapshot_of(ids) == first._scorer.snapshot_of(ids)
        assert plant.read(metric_id).judgements.scores[300] > 0.5
