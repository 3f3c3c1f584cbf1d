"""The epoch of judging: it grows with each worker that takes over, and excludes earlier workers.

A lock alone does not exclude them: a process that was paused goes on as if it still had the lock
(Kleppmann, "How to do distributed locking", 2016). So each write compares the epoch of its worker
with the current one, in the same transaction.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from anomify.db import session, upsert
from anomify.metric.model import JudgingEpoch

JUDGING: Final = "judging"
TAKEN_BY_CHARACTERS_MAX: Final = 200
# The longest time that a transaction of a paused process makes the next worker wait.
IDLE_TRANSACTION_TIMEOUT: Final = "20s"

_CURRENT = select(JudgingEpoch.epoch).where(JudgingEpoch.name == JUDGING)
# Read with a lock: a worker that takes over waits until this transaction has ended.
_CURRENT_LOCKED = _CURRENT.add_columns(
    func.set_config(
        "idle_in_transaction_session_timeout",
        IDLE_TRANSACTION_TIMEOUT,
        # For this transaction only.
        True,
    )
).with_for_update(read=True)


def take_epoch(taken_by: str, at: datetime) -> int:
    """Begin a new epoch, in which only the caller may write, and return its number."""
    statement = upsert(JudgingEpoch).values(
        name=JUDGING, epoch=1, taken_by=taken_by[:TAKEN_BY_CHARACTERS_MAX], taken_at=at
    )
    taken = session().scalar(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "epoch": JudgingEpoch.epoch + 1,
                "taken_by": statement.excluded.taken_by,
                "taken_at": statement.excluded.taken_at,
            },
        ).returning(JudgingEpoch.epoch)
    )
    return int(taken or 0)


def current_epoch() -> int:
    """Return the current epoch, 0 before the first."""
    return session().scalar(_CURRENT) or 0


def lock_epoch(connection: Connection) -> int:
    """Return the epoch, locked until this connection's transaction ends; 0 before the first.

    SQLite needs no lock, because it has one writer at a time.
    """
    if connection.dialect.name == "sqlite":
        return connection.scalar(_CURRENT) or 0
    return connection.scalar(_CURRENT_LOCKED) or 0
