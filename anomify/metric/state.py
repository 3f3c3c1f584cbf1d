"""Where the engine's memory is kept: checkpoints of partitions, and metrics that sleep."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy import delete, select

from anomify.db import session
from anomify.detection.state import DamagedSnapshotError, EngineState, UnreadableSnapshotError
from anomify.metric.model import Checkpoint, DormantState, Progress
from anomify.series import Int64s

# A metric belongs to the partition of its id, and a checkpoint covers one partition. Changing the
# number would orphan the checkpoints on disk.
PARTITIONS: Final = 64

# Databases bound the number of values in one statement.
MOST_IDS = 500

_COUNT: Final = struct.Struct("<I")
# Before a checkpoint that has a checksum; older ones have none and begin with a count, which is
# never this one.
_CHECKED: Final = b"\xff\xff\xff\xff"
_CHECKSUM: Final = struct.Struct("<I")


def pack_states(metric_ids: Int64s, snapshot: bytes) -> bytes:
    """Return the states of a partition's metrics as a checkpoint keeps them."""
    states = _COUNT.pack(len(metric_ids)) + metric_ids.astype("<i8").tobytes() + snapshot
    return _CHECKED + _CHECKSUM.pack(zlib.crc32(states)) + states


def unpack_states(kept: bytes) -> tuple[Int64s, bytes]:
    """Return whose states a checkpoint keeps, and the snapshot of them in that order.

    Raises DamagedSnapshotError for bytes that are not what was kept.
    """
    states = kept
    if kept[: len(_CHECKED)] == _CHECKED:
        states = kept[len(_CHECKED) + _CHECKSUM.size :]
        checksum = kept[len(_CHECKED) : len(_CHECKED) + _CHECKSUM.size]
        if checksum != _CHECKSUM.pack(zlib.crc32(states)):
            raise DamagedSnapshotError("A checkpoint does not match its checksum.")
    try:
        (count,) = _COUNT.unpack_from(states)
        metric_ids = np.frombuffer(states, "<i8", count, _COUNT.size).astype(np.int64)
    except (struct.error, ValueError) as problem:
        raise DamagedSnapshotError("A checkpoint is cut short.") from problem
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
        try:
            metric_ids, kept = unpack_states(checkpoint.state)
        except UnreadableSnapshotError:
            return None
    places = np.flatnonzero(metric_ids == metric_id)
    if not len(places):
        return None
    state = EngineState.new(len(metric_ids))
    try:
        state.insert(np.arange(len(metric_ids)), kept)
    except UnreadableSnapshotError:
        return None
    return state, int(places[0])


def unreadable_states() -> Iterator[str]:
    """Say of each kept state that does not match its checksum whose it is."""
    for checkpoint in session().scalars(select(Checkpoint)):
        try:
            unpack_states(checkpoint.state)
        except UnreadableSnapshotError as problem:
            yield f"the state of partition {checkpoint.partition}: {problem}"
        session().expunge(checkpoint)
    scratch, only = EngineState.new(1), np.array([0])
    asleep = select(DormantState.metric_id, DormantState.state)
    for metric_id, state in session().execute(asleep.execution_options(yield_per=MOST_IDS)):
        try:
            scratch.insert(only, state)
        except DamagedSnapshotError as problem:
            yield f"the state of metric {metric_id}: {problem}"
        except UnreadableSnapshotError:
            continue


def list_checkpoints() -> list[Checkpoint]:
    """Return the newest checkpoint of every partition that has one."""
    return list(session().scalars(select(Checkpoint).order_by(Checkpoint.partition)))


def metrics_of_partition(partition: int) -> list[int]:
    """Return the metrics of a partition that have been judged and do not sleep."""
    return list(
        session().scalars(
            select(Progress.metric_id)
            .outerjoin(DormantState, DormantState.metric_id == Progress.metric_id)
            .where(Progress.metric_id % PARTITIONS == partition, DormantState.metric_id.is_(None))
            .order_by(Progress.metric_id)
        )
    )


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
