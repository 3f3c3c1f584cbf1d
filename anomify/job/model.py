"""The columns of a job: work in a table that one process at a time leases, does and settles."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from anomify.db import UtcDateTime

PENDING, DONE, DEAD = "pending", "done", "dead"


class Job:
    """A mixin for a model: each kind of job keeps its own table, with its own key.

    Index `state, due_at` there. `anomify.job.queue.Queue` changes these columns.
    """

    # What `state` becomes when the job is done.
    done_state: ClassVar[str] = DONE
    # Whether a row is deleted once its job is done, instead of kept.
    is_deleted_when_done: ClassVar[bool] = False

    # pending; done_state when it succeeded; dead when it was given up.
    state: Mapped[str] = mapped_column(String(16), default=PENDING)
    # How often it was claimed since it was requested, the running attempt included.
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # It is not claimed before this moment.
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The worker that claimed it holds it until then, and identifies itself by this exact value.
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # When it was done or given up.
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)
    # Why the last attempt failed, or why it was given up.
    last_error: Mapped[str | None] = mapped_column(Text, default=None)

    def close(self, state: str, at: datetime) -> None:
        """Set the state in which the job ends; a kind may override this to delete what it held."""
        self.state = state
        self.settled_at = at
        self.leased_until = None
