"""The engine's memory on disk: one checkpoint a partition, and the metrics that sleep."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy.orm import Session

from anomify.db import STATEMENT_VALUES
from anomify.detection.state import EngineState
from anomify.metric import state as state_module
from anomify.metric.state import (
    GROUP,
    HEAD_BYTES,
    PARTITIONS,
    dormant_states,
    drop_dormant,
    find_state,
    keep_checkpoint,
    keep_dormant,
    list_checkpoints,
    pack_states,
    unpack_states,
)
from tests.factories import make_metric, make_org

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


class TestKeepCheckpoint:
    def test_replaces_the_partitions_last_one(self, unit: Session) -> None:
        keep_checkpoint(7, 10, b"old", AT)
        keep_checkpoint(3, 20, b"other", AT)
        keep_checkpoint(7, 30, b"new", AT)
        unit.flush()
        unit.expunge_all()
        found = [(row.partition, row.log_offset, row.state) for row in list_checkpoints()]
        assert found == [(3, 20, b"other"), (7, 30, b"new")]
        assert list_checkpoints()[0].saved_at == AT


@pytest.fixture
def metric_ids(unit: Session) -> list[int]:
    assert unit.is_active
    org = make_org()
    return [make_metric(org, f"m{number}").id for number in range(3)]


class TestDormantStates:
    def test_are_returned_for_dormant_metrics(self, unit: Session, metric_ids: list[int]) -> None:
        first, second, third = metric_ids
        keep_dormant(first, b"old")
        keep_dormant(first, b"new")
        keep_dormant(second, b"two")
        unit.flush()
        # More than one statement takes.
        unknown = list(range(10**6, 10**6 + STATEMENT_VALUES))
        found = dict(dormant_states([first, *unknown, third, second]))
        assert found == {first: b"new", second: b"two"}

    def test_are_deleted_of_metrics_that_are_active_again(
        self, unit: Session, metric_ids: list[int]
    ) -> None:
        for metric_id in metric_ids:
            keep_dormant(metric_id, b"state")
        unit.flush()
        drop_dormant(metric_ids[1:])
        drop_dormant([])
        assert [metric_id for metric_id, _ in dormant_states(metric_ids)] == metric_ids[:1]


def some_states(count: int) -> tuple[np.ndarray, EngineState]:
    state = EngineState.new(count)
    state.slots["recent_values"] = np.random.default_rng(1).normal(size=(count, 100))
    return np.arange(count) * PARTITIONS + 5, state


class TestFindState:
    def test_reads_the_metrics_group_and_no_other(self, unit: Session, monkeypatch) -> None:
        read: list[int] = []
        piece = state_module._piece

        def note(*where: int) -> bytes:
            read.append(len(piece(*where)))
            return piece(*where)

        monkeypatch.setattr(state_module, "_piece", note)
        # With all ids in one question, and in two.
        for head_bytes in (HEAD_BYTES, 100):
            monkeypatch.setattr(state_module, "HEAD_BYTES", head_bytes)
            for count in (1, GROUP - 1, GROUP, GROUP + 1, 7 * GROUP + 3):
                ids, states = some_states(count)
                packed = pack_states(ids, lambda some, of=states: of.extract(some // PARTITIONS))
                keep_checkpoint(5, 1, packed, AT)
                unit.flush()
                for slot in {0, count // 2, count - 1}:
                    found, place = find_state(int(ids[slot]))
                    assert found.capacity <= GROUP
                    assert found.slots[place].tobytes() == states.slots[slot].tobytes()
                assert find_state(int(ids[-1]) + PARTITIONS) is None
                joined = list(unpack_states(packed))
                assert np.concatenate([some for some, _ in joined]).tolist() == ids.tolist()
        whole = len(packed)
        read.clear()
        find_state(int(ids[40]))
        assert sum(read[1:]) < whole / 4

    def test_reads_what_an_older_version_kept(self, unit: Session) -> None:
        ids, states = some_states(40)
        head = len(ids).to_bytes(4, "little") + ids.astype("<i8").tobytes()
        snapshot = states.extract(np.arange(40))
        keep_checkpoint(5, 1, head + snapshot, AT)
        unit.flush()
        found, place = find_state(int(ids[17]))
        assert found.slots[place].tobytes() == states.slots[17].tobytes()
        [(same, kept)] = unpack_states(head + snapshot)
        assert (same.tolist(), kept) == (ids.tolist(), snapshot)

    def test_finds_nothing_where_nothing_was_kept(self, unit: Session) -> None:
        assert find_state(5) is None
        ids, states = some_states(0)
        keep_checkpoint(5, 1, pack_states(ids, states.extract), AT)
        unit.flush()
        assert find_state(5) is None
        assert list(unpack_states(pack_states(ids, states.extract))) == []
