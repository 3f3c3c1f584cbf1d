"""Notices that a silence has begun or ended, each due exactly once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, or_, select, update

from anomify.db import session
from anomify.org.daily_times import Occurrence
from anomify.silence.model import Silence

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """A silence began or ended, and these contact points are to be told."""

    silence: Silence
    # False for one that ended.
    has_begun: bool
    # Its beginning and its end, as far as it is planned; of one that ended, its true end.
    occurrence: Occurrence
    contact_point_ids: tuple[int, ...]


def take_notices(at: datetime, most: int) -> list[Notice]:
    """Return at most so many due notices, of any org, and mark them in this unit of work as taken.

    The caller enqueues them in the same unit of work: a notice is then enqueued exactly once, also
    when the process is killed or two of them run. Of what began and ended while nobody called this,
    only the present state is told. Windows that adjoin are one.
    """
    found: list[Notice] = []
    for silence in _candidates(at):
        if len(found) == most:
            break
        running = silence.schedule.at(at)
        noticed = silence.noticed_start
        if noticed == (running and running.start):
            continue
        notice = _notice(silence, noticed, running, at)
        if _mark(silence, running and running.start) and notice is not None:
            found.append(notice)
    return found


def is_any_notice_due(at: datetime) -> bool:
    """Return whether `take_notices` has something to do; this changes and locks nothing."""
    for silence in _candidates(at):
        running = silence.schedule.at(at)
        if silence.noticed_start != (running and running.start):
            return True
    return False


def _candidates(at: datetime) -> list[Silence]:
    """Return silences that may have begun or ended since they were looked at, the oldest first."""
    is_open = and_(
        Silence.begins_at <= at,
        or_(Silence.ends_at.is_(None), Silence.ends_at > at),
        Silence.ended_at.is_(None),
    )
    return list(
        session().scalars(
            select(Silence)
            .where(
                or_(Silence.notifies_start, Silence.notifies_end),
                or_(is_open, Silence.noticed_start.is_not(None)),
            )
            .order_by(Silence.id)
        )
    )


def _notice(
    silence: Silence, noticed: datetime | None, running: Occurrence | None, at: datetime
) -> Notice | None:
    contacts = tuple(silence.notify_contact_point_ids)
    if running is None:
        if noticed is None or not silence.notifies_end:
            return None
        ended = silence.schedule.at(noticed)
        until = at if ended is None else min(ended.end, at)
        return Notice(silence, False, Occurrence(noticed, until), contacts)
    if noticed is not None and silence.schedule.at(running.start - _TICK) is not None:
        # It goes on from the occurrence before, whose beginning was told.
        return None
    return Notice(silence, True, running, contacts) if silence.notifies_start else None


def _mark(silence: Silence, start: datetime | None) -> bool:
    """Store which occurrence is known to run; return False if another process was faster."""
    marked = session().execute(
        update(Silence)
        .where(
            Silence.id == silence.id,
            Silence.noticed_start.is_not_distinct_from(silence.noticed_start),
        )
        .values(noticed_start=start)
        .returning(Silence.id)
    )
    return marked.first() is not None
