"""Metrics that a rule excludes are stored and not judged."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from anomify.clock import now, now_ms
from anomify.db import session
from anomify.delivery.model import Delivery
from anomify.exclusion.editing import (
    ExclusionFields,
    add_exclusion,
    delete_exclusion,
    end_expired,
)
from anomify.exclusion.predicate import ExclusionKind
from anomify.job.model import DEAD
from anomify.metric.model import Metric, Progress
from anomify.metric.progress import request_rebuild
from anomify.metric.state import PARTITIONS
from anomify.worker.rebuild import rebuild_one
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike


def name_of(plant: Plant, metric_id: int) -> str:
    with plant.database.unit_of_work(write=False):
        return session().get_one(Metric, metric_id).name


def exclude(plant: Plant, metric_id: int, **more) -> int:
    requested = ExclusionFields(ExclusionKind.EXACT, name_of(plant, metric_id), **more)
    with plant.database.unit_of_work():
        return add_exclusion(plant.org_id, requested, "Alice")[0].id


def include(plant: Plant, rule_id: int) -> None:
    with plant.database.unit_of_work():
        delete_exclusion(plant.org_id, rule_id, "Alice")


class TestExcluded:
    def test_is_stored_and_not_judged_while_other_metrics_are(self, plant: Plant) -> None:
        out, within, _ = plant.metric_ids
        exclude(plant, out)
        analyser = plant.analyser()
        times = past()
        for metric_id in (out, within):
            plant.send(metric_id, times, with_spike(noise(), 500))
        drain(analyser)
        assert [found[0] for found in plant.anomalies()] == [within]
        kept = plant.progress(out)
        assert (kept.judged_until_ms, kept.points_seen) == (times[-1], 0)
        for _ in range(2):
            series = plant.read(out)
            assert len(series) == POINTS
            assert np.isnan(series.judgements.scores).all()
            analyser.checkpoint(range(PARTITIONS))
        assert np.isfinite(plant.read(within).judgements.scores[100:]).all()

    def test_holds_from_the_next_tick_of_a_worker_that_runs(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), with_spike(noise(), 500)
        analyser = plant.analyser()
        plant.send(metric_id, times[:300], values[:300])
        drain(analyser)
        exclude(plant, metric_id)
        plant.send(metric_id, times[300:], values[300:])
        drain(analyser)
        assert plant.anomalies() == []
        progress = plant.progress(metric_id)
        assert (progress.points_seen, progress.judged_until_ms) == (300, times[-1])
        assert progress.silent_from_ms is None

    def test_holds_for_the_tick_in_which_the_rule_is_made(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog
    ) -> None:
        """It is made after the points are judged and before the result is recorded."""
        out, within, _ = plant.metric_ids
        plant.watch()
        times, values = past(), with_spike(noise(), 450)
        analyser = plant.analyser()
        for metric_id in (out, within):
            plant.send(metric_id, times[:400], values[:400])
        drain(analyser)
        for metric_id in (out, within):
            plant.send(metric_id, times[400:], values[400:])
        score = analyser._scorer.score

        def exclude_after(fresh):
            scored = score(fresh)
            monkeypatch.undo()
            rules.append(exclude(plant, out))
            return scored

        rules: list[int] = []
        monkeypatch.setattr(analyser._scorer, "score", exclude_after)
        with caplog.at_level("INFO"):
            drain(analyser)
        assert [found[0] for found in plant.anomalies()] == [within]
        assert f"metric {out} is excluded by rule {rules[0]}: no anomaly is recorded" in caplog.text
        assert plant.progress(out).points_seen == POINTS

    def test_closes_an_open_anomaly_without_a_message(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.watch()
        plant.send(metric_id, past(), with_spike(noise(), POINTS - 2))
        analyser = plant.analyser()
        drain(analyser)
        [(_, started, ended, _)] = plant.anomalies()
        assert ended is None
        assert plant.announced() == [("opened", started)]
        exclude(plant, metric_id)
        # Nothing has to come for it.
        assert analyser.run_once() == 0
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is not None
        # What had not been sent yet will not be.
        with plant.database.unit_of_work(write=False):
            [message] = session().scalars(select(Delivery)).all()
            assert (message.state, message.transition) == (DEAD, "opened")
            assert "the exclusion" in (message.last_error or "")

    def test_closes_it_also_if_no_worker_ran_when_the_rule_was_made(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        plant.send(metric_id, past(), with_spike(noise(), POINTS - 2))
        drain(plant.analyser())
        exclude(plant, metric_id)
        plant.analyser()
        [(_, _, ended, _)] = plant.anomalies()
        assert ended is not None

    @pytest.mark.parametrize("by_expiry", [False, True])
    def test_continues_with_the_learnt_state_after_the_rule_is_deleted(
        self, plant: Plant, *, by_expiry: bool
    ) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        # Meanwhile its values are not to be learnt.
        values[300:400] += 1_000
        analyser = plant.analyser()
        plant.send(metric_id, times[:300], values[:300])
        drain(analyser)
        ends = now() + timedelta(hours=1)
        rule_id = exclude(plant, metric_id, expires_at=ends if by_expiry else None)
        plant.send(metric_id, times[300:400], values[300:400])
        drain(analyser)
        if by_expiry:
            with plant.database.unit_of_work():
                assert end_expired(ends) == 1
        else:
            include(plant, rule_id)
        plant.send(metric_id, times[400:], with_spike(values, 500)[400:])
        drain(analyser)
        assert plant.progress(metric_id).points_seen == 500
        [(_, started, _, _)] = plant.anomalies()
        assert started == times[500]
        scores = plant.read(metric_id).judgements.scores
        assert np.isnan(scores[300:400]).all()
        assert np.isfinite(scores[401:]).all()

    def test_keeps_its_state_over_a_crash(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyser = plant.analyser()
        plant.send(metric_id, times[:300], values[:300])
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        rule_id = exclude(plant, metric_id)
        plant.send(metric_id, times[300:400], values[300:400] + 1_000)
        drain(analyser)
        again = plant.analyser()
        include(plant, rule_id)
        plant.send(metric_id, times[400:], values[400:])
        drain(again)
        assert plant.progress(metric_id).points_seen == 500
        assert plant.anomalies() == []
        again.checkpoint(range(PARTITIONS))
        assert len(plant.read(metric_id)) == POINTS

    def test_is_not_rebuilt(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        exclude(plant, metric_id)
        analyser = plant.analyser()
        plant.send(metric_id, past(), with_spike(noise(), 500), is_backfill=True)
        drain(analyser)
        with plant.database.unit_of_work():
            request_rebuild(metric_id, "back-fill", now() - timedelta(minutes=1))
        assert rebuild_one(plant.database, analyser)
        assert (plant.rebuilds(), plant.anomalies()) == ([], [])

    @pytest.mark.parametrize("is_excluded", [False, True])
    def test_opens_no_anomaly_for_missing_points(self, plant: Plant, *, is_excluded: bool) -> None:
        metric_id = plant.metric_ids[0]
        times = past(end_ms=now_ms() - 30 * MINUTE)
        analyser = plant.analyser()
        plant.send(metric_id, times, noise())
        drain(analyser)
        if is_excluded:
            exclude(plant, metric_id)
            analyser.apply_exclusions()
        with plant.database.unit_of_work():
            session().get_one(Progress, metric_id).silent_from_ms = 1
        analyser._overdue.note([(metric_id, 1)])
        analyser.find_metrics_without_data()
        assert len(plant.anomalies()) == (0 if is_excluded else 1)
