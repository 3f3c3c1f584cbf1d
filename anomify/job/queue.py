"""Claim jobs by conditional update, settle them after the deed, try again later or give up."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, func, inspect, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from anomify.db import session
from anomify.job.model import DEAD, PENDING, Job

log = logging.getLogger(__name__)

PROBLEM_MAX_CHARACTERS = 500

Key = int | str
AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True, slots=True)
class Queue(Generic[AnyJob]):
    """The jobs of one table, and how they are leased and tried again.

    A job is claimed in one unit of work, done outside of it, and settled in another one, so it is
    done at least once. Each method needs an open unit of work; those that change something need
    one that writes. Two processes that claim at the same time never get the same job.

    `lease` has to be longer than a job takes: it is claimed again when its lease has run out.
    `most_attempts` bounds them, those included that ended with the process and reported nothing.
    `pause` returns how long a job waits after so many failed attempts.
    """

    row: type[AnyJob]
    lease: timedelta
    most_attempts: int
    pause: Callable[[int], timedelta]

    def free(self, at: datetime) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions under which a job may be claimed at this moment."""
        job = self.row
        return (
            job.state == PENDING,
            job.due_at <= at,
            or_(job.leased_until.is_(None), job.leased_until <= at),
        )

    def is_any_due(self, at: datetime, *also: ColumnElement[bool]) -> bool:
        """Return whether a claim might find a job; this changes and locks nothing."""
        return (
            session().scalar(select(self._key_column()).where(*self.free(at), *also).limit(1))
            is not None
        )

    def claim(self, at: datetime, most: int, *also: ColumnElement[bool]) -> list[AnyJob]:
        """Lease up to `most` due jobs that meet the conditions; return them longest due first.

        A job whose lease ran out counts as due since then, so that one which ends its process
        every time does not stay in front of the others.
        """
        due = select(self._key_column()).where(*self.free(at), *also)
        waits_since = func.coalesce(self.row.leased_until, self.row.due_at)
        keys = session().scalars(due.order_by(waits_since, self._key_column()).limit(most)).all()
        claimed = {self._key_of(job): job for job in self.claim_chosen(keys, at, *also)}
        return [claimed[key] for key in keys if key in claimed]

    def claim_chosen(
        self, keys: Sequence[Key], at: datetime, *also: ColumnElement[bool]
    ) -> list[AnyJob]:
        """Lease those of these jobs that are still free; return them in the order of their keys.

        A job that was attempted often enough without an end is given up instead.
        """
        claimed = []
        # In one order for everybody: two that lease crosswise would wait for each other.
        for key in sorted(keys):
            leased = session().execute(
                update(self.row)
                .where(self._key_column() == key, *self.free(at), *also)
                .values(leased_until=at + self.lease, attempts=self.row.attempts + 1)
                .returning(self._key_column())
                .execution_options(synchronize_session=False)
            )
            if leased.first() is None:
                continue
            job = session().get_one(self.row, key, populate_existing=True)
            if job.attempts <= self.most_attempts:
                claimed.append(job)
                continue
            job.attempts = self.most_attempts
            self.give_up(job, "It did not end in the time it had, the last time either.", at)
        return claimed

    def held(self, key: Key, leased_until: datetime) -> AnyJob | None:
        """Lock a job and return it while the lease that `leased_until` names is still in force.

        None where it was claimed again, requested again and released, settled or deleted since.
        """
        job = self._locked(key)
        if job is None or job.state != PENDING or job.leased_until != leased_until:
            return None
        return job

    def finish(self, key: Key, leased_until: datetime, at: datetime) -> bool:
        """Mark a job done if the lease is still in force; return whether it was.

        To be called in the unit of work that writes the results: roll it back on False.
        """
        job = self.held(key, leased_until)
        if job is not None:
            self._finish(job, at)
        return job is not None

    def finish_unleased(self, key: Key, at: datetime) -> AnyJob | None:
        """Mark a job done, even without its lease; return it, or None if it was settled already.

        For jobs whose effect is outside the database and cannot be taken back, like a message
        that was delivered.
        """
        job = self._locked(key)
        if job is None or job.state != PENDING:
            return None
        self._finish(job, at)
        return job

    def fail(self, key: Key, leased_until: datetime, problem: str, at: datetime) -> None:
        """Note that an attempt failed, to be tried again after the pause of its kind or given up.

        Changes nothing unless the lease is still in force.
        """
        job = self.held(key, leased_until)
        if job is not None:
            self.retry(job, problem, at, again_at=at + self.pause(max(job.attempts, 1)))

    def retry(self, job: AnyJob, problem: str, at: datetime, *, again_at: datetime) -> None:
        """Have a job claimed again at this moment, or give it up if that was its last attempt."""
        job.due_at = again_at
        if job.attempts >= self.most_attempts:
            self.give_up(job, problem, at)
            return
        job.last_error = problem[:PROBLEM_MAX_CHARACTERS]
        job.leased_until = None

    def give_up(self, job: AnyJob, problem: str, at: datetime) -> None:
        """Never claim a job again; its row stays, with the reason."""
        job.last_error = problem[:PROBLEM_MAX_CHARACTERS]
        job.close(DEAD, at)
        log.warning(
            "%s %s was given up after %d attempts: %s",
            type(job).__name__,
            self._key_of(job),
            job.attempts,
            job.last_error,
        )

    def request_again(self, job: AnyJob, due_at: datetime) -> None:
        """Have a job done once more from this moment on, whatever became of it so far.

        Its attempts are counted anew. One that is leased now is claimed again when that attempt
        has ended, for it may have begun before what is to be done changed. A pause after a failure
        is not shortened.
        """
        job.due_at = max(job.due_at, due_at)
        job.attempts = 0
        job.state = PENDING
        job.settled_at = None

    def count_waiting(self) -> int:
        """Return how many jobs are neither done nor given up."""
        waiting = select(func.count()).select_from(self.row).where(self.row.state == PENDING)
        return session().scalar(waiting) or 0

    def latest_problem(self) -> str | None:
        """Return why a waiting job failed, of the one that is due last; None where none failed."""
        failed = select(self.row.last_error).where(
            self.row.state == PENDING, self.row.last_error.is_not(None)
        )
        return session().scalar(failed.order_by(self.row.due_at.desc()).limit(1))

    def _finish(self, job: AnyJob, at: datetime) -> None:
        job.last_error = None
        if job.leased_until is not None and not job.attempts:
            # It was requested again during the attempt: see request_again().
            job.leased_until = None
        elif self.row.is_deleted_when_done:
            session().delete(job)
        else:
            job.close(self.row.done_state, at)

    def _locked(self, key: Key) -> AnyJob | None:
        session().flush()
        return session().get(self.row, key, populate_existing=True, with_for_update=True)

    def _key_column(self) -> InstrumentedAttribute[Any]:
        mapper = inspect(self.row)
        (column,) = mapper.primary_key
        key: InstrumentedAttribute[Any] = getattr(
            self.row, mapper.get_property_by_column(column).key
        )
        return key

    def _key_of(self, job: AnyJob) -> Key:
        key: Key
        (key,) = inspect(self.row).primary_key_from_instance(job)
        return key
