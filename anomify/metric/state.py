"""Where the engine's memory is kept: checkpoints of partitions, and metrics that sleep."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy import delete, select

from anomify.db import session
from anomify.detection.state import EngineState, UnreadableSnapshotError
from anomify.metric.model import Checkpoint, DormantState
from anomify.series import Int64s

# A metric belongs to the partition of its id, and a checkpoint covers one partition. Changing the
# number would orphan the checkpoints on disk.
PARTITIONS: Final = 64

# Databases bound the number of values in one statement.
MOST_IDS = 500

_COUNT: Final = struct.Struct("<I")


def pack_states(metric_ids: Int64s, snapshot: bytes) -> bytes:
    """Return the states of a partition's metrics as a checkpoint keeps them."""
    return _COUNT.pack(len(metric_ids)) + metric_ids.astype("<i8").tobytes() + snapshot


def unpack_states(states: bytes) -> tuple[Int64s, bytes]:
    """Return whose states a checkpoint keeps, and the snapshot of them in that order."""
    (count,) = _COUNT.unpack_from(states)
    metric_ids = np.frombuffer(states, "<i8", count, _COUNT.size).astype(np.int64)
    return metric_ids, states[_COUNT.size + 8 * count :]


def find_state(metric_id: int) -> tuple[EngineState, int] | None:
    """Return what the engine knew of a metric when it was last kept, and the slot it is in.

    That is some minutes ago. None where it was not kept yet, or by another version of the engine.
    """
    dormant = session().get(DormantState, metric_id)
    if dormant is not None:
        kept, metric_ids = dormant.state, np.array([metric_id], np.int64)
    else:
        checkpoint = session().get(Checkpoint, metric_id % PARTITIONS)
        if checkpoint is None:
            return None
        metric_ids, kept = unpack_states(checkpoint.state)
    places = np.flatnonzero(metric_ids == metric_id)
    if not len(places):
        return None
    state = EngineState.new(len(metric_ids))
    try:
        state.insert(np.arange(len(metric_ids)), kept)
    except UnreadableSnapshotError:
        return None
    return state, int(places[0])


def list_checkpoints() -> list[Checkpoint]:
    """Return the newest checkpoint of every partition that has one."""
    return list(session().scalars(select(Checkpoint).order_by(Checkpoint.partition)))


def keep_checkpoint(partition: int, log_offset: int, state: bytes, at: datetime) -> None:
    """Replace the partition's checkpoint."""
    session().merge(
        Checkpoint(partition=partition, log_offset=log_offset, state=state, saved_at=at)
    )


def dormant_states(metric_ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Give the states of those of the metrics that sleep."""
    for first in range(0, len(metric_ids), MOST_IDS):
        rows = session().execute(
            select(DormantState.metric_id, DormantState.state).where(
                DormantState.metric_id.in_(metric_ids[first : first + MOST_IDS])
            )
        )
        for row in rows:
            yield row.metric_id, row.state


def keep_dormant(metric_id: int, state: bytes) -> None:
    """Let a metric sleep."""
    session().merge(DormantState(metric_id=metric_id, state=state))


def drop_dormant(metric_ids: Iterable[int]) -> None:
    """Forget the sleep of metrics that are awake, now that a checkpoint holds their state."""
    awake = list(metric_ids)
    for first in range(0, len(awake), MOST_IDS):
        session().execute(
            delete(DormantState).where(DormantState.metric_id.in_(awake[first : first + MOST_IDS]))
        )
