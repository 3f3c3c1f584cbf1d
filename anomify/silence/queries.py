"""Queries for silences; the org is the first argument."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, and_, func, not_, select

from anomify.db import Page, session
from anomify.errors import NotFound
from anomify.org.daily_times import Occurrence
from anomify.silence.model import Silence
from anomify.silence.schedule import FOREVER
from anomify.silence.window import is_unended, unended_silences

MOST_SILENCES: Final = 500
# How far ahead the next occurrence is looked for; a leap day may be four years, or eight, away.
AHEAD: Final = timedelta(days=366)


class SilenceState(StrEnum):
    """Whether a silence holds something back now, will later, or never will again."""

    ACTIVE = "active"
    UPCOMING = "upcoming"
    EXPIRED = "expired"


def get_silence(org_id: int, silence_id: int) -> Silence:
    """Return the org's silence. Raises NotFound."""
    found = session().scalar(
        select(Silence).where(Silence.org_id == org_id, Silence.id == silence_id)
    )
    if found is None:
        raise NotFound("There is no such silence in your org; /silences/list lists all.")
    return found


def state_of(silence: Silence, at: datetime) -> SilenceState:
    """Return the state of a silence at a moment; one between two occurrences is upcoming."""
    following = next_occurrence(silence, at)
    if following is None:
        return SilenceState.EXPIRED
    return SilenceState.ACTIVE if following.start <= at else SilenceState.UPCOMING


def next_occurrence(silence: Silence, at: datetime) -> Occurrence | None:
    """Return the occurrence in force at a moment, or else the next one."""
    schedule = silence.schedule
    running = schedule.at(at)
    if running is not None:
        return running
    return next(iter(schedule.following(at, 1, AHEAD)), None)


def end_of(silence: Silence) -> datetime | None:
    """Return when the silence ends or ended for good; None for one that recurs without end."""
    last = silence.schedule.ends_at
    return None if last is None else max(last, silence.begins_at)


def list_silences(
    org_id: int,
    at: datetime,
    *,
    states: Iterable[SilenceState] = tuple(SilenceState),
    limit: int = 50,
    offset: int = 0,
) -> Page[Silence]:
    """List the org's silences in these states.

    First come the active ones, of which the one that ends first is the first; then upcoming ones,
    by their beginning; then expired ones, the one that ended last first.
    """
    wanted = set(states)
    current: dict[SilenceState, list[tuple[datetime, Silence]]] = {
        each: [] for each in SilenceState
    }
    for silence in unended_silences(org_id, at):
        following = next_occurrence(silence, at)
        if following is None:
            current[SilenceState.EXPIRED].append((FOREVER, silence))
        elif following.start <= at:
            current[SilenceState.ACTIVE].append((following.end, silence))
        else:
            current[SilenceState.UPCOMING].append((following.start, silence))
    found = [
        silence
        for state in SilenceState
        if state in wanted
        for _, silence in sorted(current[state], key=lambda entry: (entry[0], entry[1].id))
    ]
    if SilenceState.EXPIRED not in wanted:
        return Page(found[offset : offset + limit], len(found))
    is_over = and_(Silence.org_id == org_id, not_(and_(*is_unended(at))))
    rows = found[offset : offset + limit]
    if len(rows) < limit:
        ended = func.coalesce(Silence.ended_at, Silence.ends_at)
        rows += session().scalars(
            select(Silence)
            .where(is_over)
            .order_by(ended.desc(), Silence.id.desc())
            .limit(min(limit, MOST_SILENCES) - len(rows))
            .offset(max(offset - len(found), 0))
        )
    return Page(rows, len(found) + _count(is_over))


def count_unended(org_id: int, at: datetime) -> int:
    """Count the org's silences that have not ended at a moment, begun or not."""
    return _count(and_(Silence.org_id == org_id, *is_unended(at)))


def _count(condition: ColumnElement[bool]) -> int:
    counted = select(func.count()).select_from(Silence).where(condition)
    return session().scalar(counted) or 0
