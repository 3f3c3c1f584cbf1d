"""Where the engine's memory is kept: checkpoints of partitions, and metrics that sleep."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, select

from anomify.db import session
from anomify.metric.model import Checkpoint, DormantState

# Databases bound the number of values in one statement.
MOST_IDS = 500


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
