"""Damage and failures of one metric stop no other: judging, sealing, rebuilding, replaying."""

import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from anomify.clock import now
from anomify.config import Settings
from anomify.db import session
from anomify.detection.state import DamagedSnapshotError, EngineState
from anomify.metric.failing import (
    MOST_FAILURES,
    TRIED_AGAIN_AFTER,
    isolated_ids,
    list_failing,
    try_isolated_again,
)
from anomify.metric.model import Checkpoint, DormantState, FailingMetric, Metric, Rebuild
from anomify.metric.progress import request_rebuild
from anomify.metric.queries import get_metric_status, list_metrics
from anomify.metric.state import PARTITIONS, pack_states, unpack_states
from anomify.pipeline.score import Scorer
from anomify.storage.chunks import ChunkStore
from anomify.storage.codec import decode_entry
from anomify.storage.damaged_items import Kind
from anomify.storage.tables import point_chunks
from anomify.worker import loop as loop_module
from anomify.worker.analyse import Analyser
from anomify.worker.rebuild import rebuild_one
from tests.kit.plant import POINTS, Plant, drain, noise, past, with_spike
from tests.storage.test_damaged_items import damages


def damage_chunks(plant: Plant, metric_id: int, blob: bytes = b"rubbish") -> None:
    """Overwrite every chunk of a metric."""
    database = plant.points.chunks._database
    keys = point_chunks.c.chunk_key.between(metric_id << 21, (metric_id + 1 << 21) - 1)
    for month in database.months(-(1 << 20), (1 << 20) - 1):
        with database.writing_chunks(month) as connection:
            connection.execute(update(point_chunks).where(keys).values(blob=blob))


class TestDamagedChunk:
    def test_and_late_points_do_not_stop_other_metrics(self, plant: Plant) -> None:
        """The fault that stopped judging for every org: a damaged chunk, then a late point."""
        broken, sound = plant.metric_ids[:2]
        times, values = past(), noise()
        analyser = plant.analyser()
        for metric_id in (broken, sound):
            plant.send(metric_id, np.delete(times, [200]), np.delete(values, [200]))
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        damage_chunks(plant, broken)
        plant.send(broken, times[[200]], values[[200]])
        plant.send(sound, times[-1:] + 60_000, values[:1] + 60)
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        analyser.rebuild(broken)
        analyser.rebuild(sound)
        plant.points.drop_before(int(times[10]))
        assert len(plant.read(sound)) > POINTS - 250
        assert plant.read(broken).times.tolist() == times[[200]].tolist()
        assert plant.points.missing(broken, int(times[0]), int(times[-1]))
        assert plant.points.missing(sound, int(times[0]), int(times[-1])) == []
        assert {one.kind for one in plant.points.chunks.damaged_items.list()} == {Kind.CHUNK}


class TestDamagedState:
    @given(data=st.data())
    @settings(
        max_examples=8,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_is_learnt_again_from_the_points(self, plant: Plant, data: st.DataObject) -> None:
        metric_id = plant.metric_ids[0]
        times = plant.read(metric_id).times
        if not len(times):
            # Once: the minutes go on while this is tried.
            times = past()
            plant.send(metric_id, times, noise())
        analyser = plant.analyser()
        drain(analyser)
        plant.send(metric_id, times[-1:], noise()[-1:])
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work():
            checkpoint = session().get_one(Checkpoint, metric_id % PARTITIONS)
            good = checkpoint.state
            # Of one length always: the draw must not depend on how small the state is.
            bad = data.draw(damages(good[:100])) + good[100:]
            checkpoint.state = bad
        again = plant.analyser()
        only = np.array([metric_id])
        assert again._scorer.summary_of(only).seen[0] == POINTS
        # The same damage of an earlier example is kept once.
        items = plant.points.chunks.damaged_items
        assert bad in [items.blob(one.id) for one in items.list() if one.kind is Kind.STATE]

    def test_of_a_dormant_metric_is_learnt_again(self, plant: Plant) -> None:
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        plant.send(metric_id, times[:-1], values[:-1])
        analyser = plant.analyser()
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        with plant.database.unit_of_work():
            session().execute(delete(Checkpoint))
            session().add(DormantState(metric_id=metric_id, state=b"ANES rubbish and more of it"))
        again = Analyser(plant.database, plant.points.log, plant.points.chunks)
        again.recover()
        plant.send(metric_id, times[-1:], values[-1:])
        drain(again)
        assert plant.progress(metric_id).points_seen == POINTS

    def test_of_an_older_version_has_no_checksum_and_is_read(self) -> None:
        states = EngineState.new(64)
        for some in ([], [5], [2, 66, (1 << 40) + 2]):
            snapshot = states.extract(np.arange(len(some)))
            head = len(some).to_bytes(4, "little") + np.array(some, "<i8").tobytes()
            [(metric_ids, kept)] = unpack_states(head + snapshot)
            assert (metric_ids.tolist(), kept) == (some, snapshot)

    def test_without_its_beginning_is_not_read_as_one_of_an_older_version(self) -> None:
        """It would name metrics that do not exist, of any number, or none at all."""
        states = EngineState.new(64)
        for some in ([3], [64, 128], list(range(1, 64 * 40, 64)), [1 << 40]):
            kept = pack_states(np.array(some), lambda ids: states.extract(np.arange(len(ids))))
            for cut in range(1, len(kept)):
                with pytest.raises(DamagedSnapshotError):
                    unpack_states(kept[cut:])
            for bit in range(64):
                damaged = bytearray(kept)
                damaged[bit // 8] ^= 1 << bit % 8
                with pytest.raises(DamagedSnapshotError):
                    unpack_states(bytes(damaged))


def fail_for(metric_id: int, plain, ids_of):
    """Return the function with a failure wherever that metric is among its metrics."""

    def failing(self, *arguments, **named):
        if (ids_of(*arguments) == metric_id).any():
            raise ArithmeticError("this metric cannot be done")
        return plain(self, *arguments, **named)

    return failing


class TestFailingMetric:
    def failures(self, plant: Plant) -> list[tuple[int, int, bool]]:
        with plant.database.unit_of_work(write=False):
            return [
                (one.metric_id, one.failures, one.isolated_at is not None) for one in list_failing()
            ]

    def test_in_judging_is_isolated_and_reported_while_others_are_judged(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken, sound = plant.metric_ids[:2]
        plain = Scorer.score
        monkeypatch.setattr(
            Scorer, "score", fail_for(broken, plain, lambda fresh: fresh.points.metric_ids)
        )
        stopping = threading.Event()
        rounds, sent = [], []
        times, values = past(), with_spike(noise(), POINTS - 40)

        def judge(stopping, analyser, *_) -> None:
            """Judge as the worker's loop does, with some points more after each failure."""
            if not rounds:
                sent.append(400)
                for metric_id in (broken, sound):
                    plant.send(metric_id, times[:400], values[:400])
            rounds.append(analyser)
            if len(rounds) > 2 * MOST_FAILURES + 2:
                # Whatever goes wrong, this comes to an end.
                stopping.set()
            drain(analyser)
            begin = sum(sent)
            sent.append(40)
            for metric_id in (broken, sound):
                plant.send(metric_id, times[begin : begin + 40], values[begin : begin + 40])
            if len(rounds) > MOST_FAILURES + 2:
                stopping.set()
                return
            drain(analyser)
            stopping.set()

        monkeypatch.setattr(loop_module, "_judge", judge)
        monkeypatch.setattr(loop_module, "RESTART_PAUSE_SECONDS", (0,))
        loop_module.judge_until(stopping, plant.database, plant.points, Settings(data_dir=tmp_path))
        assert self.failures(plant) == [(broken, MOST_FAILURES, True)]
        assert plant.progress(sound).points_seen == sum(sent)
        assert plant.progress(sound).judged_until_ms == plant.progress(broken).judged_until_ms
        assert len(plant.read(broken)) == len(plant.read(sound)), "its points are kept"
        with plant.database.unit_of_work(write=False):
            name = session().get_one(Metric, broken).name
            [status] = [
                one for one in list_metrics(plant.org_id, now()).items if one.metric.id == broken
            ]
            assert status.sentence == get_metric_status(plant.org_id, name, now()).sentence
            assert status.sentence.startswith("Not judged: judging it failed several times.")

    def test_in_sealing_keeps_its_points_as_damaged_and_prunes_the_log(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = plant.metric_ids[0]
        with plant.database.unit_of_work():
            neighbours = [
                Metric(
                    org_id=plant.org_id,
                    name="n",
                    name_hash=b"n",
                    created_at=now(),
                    id=broken + PARTITIONS,
                )
            ]
            session().add_all(neighbours)
        sound = broken + PARTITIONS
        for metric_id in (broken, sound):
            plant.send(metric_id, past(), noise())
        plain = ChunkStore.seal
        monkeypatch.setattr(
            ChunkStore, "seal", fail_for(broken, plain, lambda points, *_: points.metric_ids)
        )
        analyser = plant.analyser()
        drain(analyser)
        for _ in range(MOST_FAILURES - 1):
            analyser.checkpoint(range(PARTITIONS))
            assert plant.points.log.sealed_through() == 0, "nothing is let go of"
            assert len(plant.read(broken)) == POINTS
        analyser.checkpoint(range(PARTITIONS))
        assert self.failures(plant) == [(broken, MOST_FAILURES, True)]
        assert plant.points.log.sealed_through() == analyser.through_offset
        assert len(plant.read(sound)) == POINTS
        [item] = plant.points.chunks.damaged_items.list()
        assert (item.kind, item.metric_id) == (Kind.POINTS, broken)
        kept, _, _ = decode_entry(plant.points.chunks.damaged_items.blob(item.id))
        assert len(kept) == POINTS

    def test_in_rebuilding_is_isolated_and_tried_again_next_day(self, plant: Plant) -> None:
        broken = plant.metric_ids[0]
        plant.send(broken, past(), noise())
        analyser = plant.analyser()
        drain(analyser)
        rebuild = analyser.rebuild
        analyser.rebuild = lambda metric_id: metric_id // 0
        for _ in range(MOST_FAILURES):
            with plant.database.unit_of_work():
                session().execute(delete(Rebuild))
                request_rebuild(broken, "late points", now() - timedelta(minutes=1))
            assert rebuild_one(plant.database, analyser)
        assert self.failures(plant) == [(broken, MOST_FAILURES, True)]
        with plant.database.unit_of_work():
            failing = session().get_one(FailingMetric, broken)
            assert failing.problem == "ZeroDivisionError: integer division or modulo by zero"
            session().execute(delete(Rebuild))
            try_isolated_again(now())
            assert session().scalars(select(Rebuild)).all() == []
            failing.isolated_at -= TRIED_AGAIN_AFTER + timedelta(minutes=1)
            session().flush()
            try_isolated_again(now())
            session().get_one(Rebuild, broken).due_at = now()
        analyser.rebuild = rebuild
        assert rebuild_one(plant.database, analyser)
        with plant.database.unit_of_work(write=False):
            assert isolated_ids() == frozenset()
        assert plant.progress(broken).points_seen == POINTS
