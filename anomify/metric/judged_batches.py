"""Batches of judgements that are not sealed yet: written by the worker, read by the web server."""

from sqlalchemy import delete, func, select

from anomify.db import session
from anomify.metric.model import JudgedBatch

# A batch of a large back-fill has 15 MB.
MOST_BATCHES = 16


def add_judged_batch(through_offset: int, rows: bytes) -> None:
    """Store the judgements of one tick, which cover the log through this offset."""
    session().add(JudgedBatch(through_offset=through_offset, rows=rows))
    session().flush()


def list_judged_batches(after_id: int) -> list[JudgedBatch]:
    """Return the next batches after this id, oldest first, at most `MOST_BATCHES`."""
    return list(
        session().scalars(
            select(JudgedBatch)
            .where(JudgedBatch.id > after_id)
            .order_by(JudgedBatch.id)
            .limit(MOST_BATCHES)
        )
    )


def judged_through() -> int:
    """Return the log offset through which everything has been judged and recorded."""
    return session().scalar(select(func.max(JudgedBatch.through_offset))) or 0


def prune_judged(through_offset: int) -> None:
    """Delete sealed batches but the newest, which holds the offset judged so far."""
    newest = select(func.max(JudgedBatch.id)).scalar_subquery()
    session().execute(
        delete(JudgedBatch).where(
            JudgedBatch.through_offset <= through_offset, JudgedBatch.id < newest
        )
    )
