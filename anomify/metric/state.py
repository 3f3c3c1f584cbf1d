"""Store the engine's state: checkpoints of partitions, and the states of dormant metrics."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from sqlalchemy import LargeBinary, delete, func, select

from anomify.db import STATEMENT_VALUES, batches, session
from anomify.detection.state import (
    DamagedSnapshotError,
    EngineState,
    UnreadableSnapshotError,
    is_of_this_version,
    snapshot_size,
)
from anomify.metric.model import Checkpoint, DormantState, Progress
from anomify.series import Int64s

# A metric belongs to the partition of its id, and a checkpoint covers one partition. Changing the
# number would make the checkpoints on disk useless.
PARTITIONS: Final = 64

# Databases bound the number of values in one statement.

# The number of states in a group, of 12 kB each: reading one state unpacks its group.
GROUP: Final = 16
# The bytes that one query reads of a checkpoint: all ids of a partition of up to 7,000 metrics.
HEAD_BYTES: Final = 64 * 1024

_COUNT: Final = struct.Struct("<I")
# Before a checkpoint that has a checksum; older ones have none and begin with a count, which is
# never this one.
_CHECKED: Final = b"\xff\xff\xff\xff"
_CHECKSUM: Final = struct.Struct("<I")
_GROUPED: Final = b"ANEG"

# The ids of some metrics, and the snapshot of their states in that order.
Group = tuple[Int64s, bytes]


def pack_states(metric_ids: Int64s, snapshot_of: Callable[[Int64s], bytes]) -> bytes:
    """Return the states of a partition's metrics in the format of a checkpoint.

    The format: a checksum, the number of metrics, their ids, a mark, where each group ends, and the
    groups. An older version, which expects one snapshot, cannot read it and learns again.
    """
    groups = [
        snapshot_of(metric_ids[first : first + GROUP]) for first in range(0, len(metric_ids), GROUP)
    ]
    ends = np.cumsum([len(group) for group in groups], dtype="<i8")
    head = _COUNT.pack(len(metric_ids)) + metric_ids.astype("<i8").tobytes()
    states = b"".join([head, _GROUPED, ends.tobytes(), *groups])
    return _CHECKED + _CHECKSUM.pack(zlib.crc32(states)) + states


def unpack_states(kept: bytes) -> list[Group]:
    """Return the metric ids and the snapshot of each group of states in a checkpoint.

    Raises DamagedSnapshotError for bytes that are not what was kept.
    """
    start = _begin_of(kept)
    if start and kept[len(_CHECKED) : start] != _CHECKSUM.pack(zlib.crc32(kept[start:])):
        raise DamagedSnapshotError("A checkpoint does not match its checksum.")
    try:
        metric_ids, at = _ids_of(kept)
        is_grouped = kept[at : at + len(_GROUPED)] == _GROUPED
        starts, ends = _places_of_groups(len(metric_ids), kept, at) if is_grouped else ([], [])
    except (struct.error, ValueError) as problem:
        raise DamagedSnapshotError("A checkpoint is cut short.") from problem
    if not start and not _is_older_form(metric_ids, kept[at:]):
        raise DamagedSnapshotError("A checkpoint does not begin as one does.")
    if not is_grouped:
        return [(metric_ids, kept[at:])]
    return [
        (metric_ids[group * GROUP : (group + 1) * GROUP], kept[start:end])
        for group, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def count_of_other_versions(kept: bytes) -> int:
    """Return how many metrics of a checkpoint have a state that this version cannot read.

    A damaged checkpoint has none: what it holds is not known.
    """
    try:
        groups = unpack_states(kept)
    except DamagedSnapshotError:
        return 0
    return sum(len(ids) for ids, snapshot in groups if not is_of_this_version(snapshot))


def find_state(metric_id: int) -> tuple[EngineState, int] | None:
    """Return the last stored state of a metric, and its slot in it.

    That is some minutes ago. None where it was not kept yet, or by another version of the engine.
    Of a checkpoint only the group of the metric is read.
    """
    dormant = session().get(DormantState, metric_id)
    if dormant is not None:
        kept, metric_ids = dormant.state, np.array([metric_id], np.int64)
    else:
        found = _find_group(metric_id)
        if found is None:
            return None
        metric_ids, kept = found
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
    """Yield a sentence about each stored state that does not match its checksum."""
    for checkpoint in session().scalars(select(Checkpoint)):
        try:
            unpack_states(checkpoint.state)
        except UnreadableSnapshotError as problem:
            yield f"the state of partition {checkpoint.partition}: {problem}"
        session().expunge(checkpoint)
    scratch, only = EngineState.new(1), np.array([0])
    statement = select(DormantState.metric_id, DormantState.state)
    for metric_id, state in session().execute(
        statement.execution_options(yield_per=STATEMENT_VALUES)
    ):
        try:
            scratch.insert(only, state)
        except DamagedSnapshotError as problem:
            yield f"the state of metric {metric_id}: {problem}"
        except UnreadableSnapshotError:
            continue


def _find_group(metric_id: int) -> Group | None:
    partition = metric_id % PARTITIONS
    head = _piece(partition, 0, HEAD_BYTES)
    try:
        (count,) = _COUNT.unpack_from(head, _begin_of(head))
        needed = _begin_of(head) + _COUNT.size + 8 * count + len(_GROUPED) + 8 * -(-count // GROUP)
        if len(head) < needed:
            head = _piece(partition, 0, needed)
        return _group_in(partition, metric_id, head)
    except (struct.error, ValueError):
        # There is none, or it is cut short.
        return None


def _group_in(partition: int, metric_id: int, head: bytes) -> Group | None:
    """Return the group of a metric in a checkpoint with this beginning, None without one."""
    metric_ids, at = _ids_of(head)
    places = np.flatnonzero(metric_ids == metric_id)
    if not len(places):
        return None
    if head[at : at + len(_GROUPED)] != _GROUPED:
        whole = session().scalar(select(Checkpoint.state).where(Checkpoint.partition == partition))
        return metric_ids, (whole or b"")[at:]
    group = int(places[0]) // GROUP
    starts, ends = _places_of_groups(len(metric_ids), head, at)
    kept = _piece(partition, starts[group], ends[group] - starts[group])
    return metric_ids[group * GROUP : (group + 1) * GROUP], kept


def _piece(partition: int, start: int, length: int) -> bytes:
    """Return some bytes of a partition's checkpoint, fewer at its end and none without one."""
    piece = func.substr(Checkpoint.state, start + 1, length, type_=LargeBinary)
    return session().scalar(select(piece).where(Checkpoint.partition == partition)) or b""


def _ids_of(states: bytes) -> tuple[Int64s, int]:
    """Return the metric ids of a checkpoint, and where the states begin."""
    start = _begin_of(states)
    (count,) = _COUNT.unpack_from(states, start)
    metric_ids = np.frombuffer(states, "<i8", count, start + _COUNT.size).astype(np.int64)
    return metric_ids, start + _COUNT.size + 8 * count


def _is_older_form(metric_ids: Int64s, states: bytes) -> bool:
    """Return whether this can be a checkpoint of a version without checksums and groups.

    Bytes without a checksum could contain any ids, and more of them than fit into memory.
    """
    partitions = np.unique(metric_ids % PARTITIONS)
    is_ascending = bool((np.diff(metric_ids, prepend=0) > 0).all())
    return is_ascending and len(partitions) <= 1 and snapshot_size(states) == len(metric_ids)


def _begin_of(states: bytes) -> int:
    """Return where the count of a checkpoint is: it has a checksum before it, or none."""
    is_checked = states[: len(_CHECKED)] == _CHECKED
    return len(_CHECKED) + _CHECKSUM.size if is_checked else 0


def _places_of_groups(count: int, states: bytes, at: int) -> tuple[list[int], list[int]]:
    """Return where each group begins and ends, read from the mark on."""
    groups = -(-count // GROUP)
    at += len(_GROUPED)
    ends = np.frombuffer(states, "<i8", groups, at) + at + 8 * groups
    return [at + 8 * groups, *ends[:-1].tolist()][:groups], ends.tolist()


def list_checkpoints() -> list[Checkpoint]:
    """Return the newest checkpoint of every partition that has one."""
    return list(session().scalars(select(Checkpoint).order_by(Checkpoint.partition)))


def metrics_of_partition(partition: int) -> list[int]:
    """Return the metrics of a partition that have been judged and are not dormant."""
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
    """Yield the states of those of the metrics that are dormant."""
    for some in batches(metric_ids):
        rows = session().execute(
            select(DormantState.metric_id, DormantState.state).where(
                DormantState.metric_id.in_(some)
            )
        )
        for row in rows:
            yield row.metric_id, row.state


def keep_dormant(metric_id: int, state: bytes) -> None:
    """Store the state of a dormant metric."""
    session().merge(DormantState(metric_id=metric_id, state=state))


def drop_dormant(metric_ids: Iterable[int]) -> None:
    """Delete the dormant states of metrics whose state a checkpoint holds again."""
    ids = list(metric_ids)
    for some in batches(ids):
        session().execute(delete(DormantState).where(DormantState.metric_id.in_(some)))
