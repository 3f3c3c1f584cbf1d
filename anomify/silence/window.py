"""Whether notifications about a metric are held back at a moment, why and until when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, Select, or_, select

from anomify.db import session
from anomify.org.daily_times import Occurrence
from anomify.org.model import Org
from anomify.org.muting import is_muted
from anomify.silence.affected import NameParts, Predicate, affected_by
from anomify.silence.model import Silence, SilenceKind
from anomify.silence.schedule import Schedule

MUTE: Final = "mute"
Kind = Literal["mute", "silence", "maintenance"]

# How many windows that adjoin or overlap are followed to their common end.
WINDOWS_FOLLOWED: Final = 100


@dataclass(frozen=True, slots=True)
class SilenceDecision:
    """Notifications are held back, until when and why."""

    # Completes the sentence "Not sent because ...".
    why: str
    # The end of the last of the windows that adjoin or overlap, as far as they are planned now.
    until: datetime
    kind: Kind
    # None where the whole org is muted.
    silence_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """A mute or a silence: whose notifications it holds back, and when."""

    kind: Kind
    silence_id: int | None
    why: str
    schedule: Schedule
    # None for all metrics.
    predicate: Predicate | None
    # What of it is in force at the moment that is asked for.
    running: Occurrence | None

    def is_about(self, parts: NameParts) -> bool:
        """Return whether it holds back notifications about the metric of this name."""
        return self.predicate is None or self.predicate(parts)


class QuietReasons:
    """What holds back notifications of an org at one moment."""

    def __init__(self, sources: Iterable[_Source]) -> None:
        """Take what is in force at that moment or may be later."""
        every = tuple(sources)
        self._running = [(source.running.end, source) for source in every if source.running]
        self._later = [source for source in every if not source.running]

    def __bool__(self) -> bool:
        """Return whether anything is in force, for some metrics or all."""
        return bool(self._running)

    def of(self, metric_name: str) -> SilenceDecision | None:
        """Return why notifications about this metric are held back; None if they are sent.

        Of several reasons it is the one that ends last. Windows that adjoin or overlap are one,
        which ends with the last of them.
        """
        if not self._running:
            return None
        parts = NameParts(metric_name)
        running = [(end, source) for end, source in self._running if source.is_about(parts)]
        if not running:
            return None
        until, reason = max(running, key=lambda found: found[0])
        # What has not begun may adjoin, and what runs may recur.
        hitting = [source for _, source in running]
        hitting += [source for source in self._later if source.is_about(parts)]
        for _ in range(WINDOWS_FOLLOWED):
            ends = [found.end for source in hitting if (found := source.schedule.at(until))]
            if not ends:
                break
            until = max(ends)
        return SilenceDecision(reason.why, until, reason.kind, reason.silence_id)


def quiet_reasons(org: Org, at: datetime) -> QuietReasons:
    """Return what holds back notifications of the org at a moment, read by one query."""
    sources = [_source(silence, at) for silence in unended_silences(org.id, at)]
    if org.muted_until is not None and is_muted(org, at):
        schedule = Schedule(at, org.muted_until)
        sources.append(
            _Source(MUTE, None, "the whole org is muted", schedule, None, schedule.at(at))
        )
    return QuietReasons(sources)


def unended_silences(org_id: int, at: datetime) -> list[Silence]:
    """Return the org's silences that have not ended at a moment, begun or not, oldest first."""
    return list(
        session().scalars(
            select(Silence).where(Silence.org_id == org_id, *is_unended(at)).order_by(Silence.id)
        )
    )


def is_unended(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the SQL conditions for silences that have not ended at a moment."""
    return (
        or_(Silence.ended_at.is_(None), Silence.ended_at > at),
        or_(Silence.ends_at.is_(None), Silence.ends_at > at),
    )


def silenced_orgs(at: datetime) -> Select[int]:
    """Return a query for the orgs whose notifications are held back, to embed in others."""
    return select(Org.id).where(Org.muted_until > at)


def _source(silence: Silence, at: datetime) -> _Source:
    return _Source(
        kind="maintenance" if silence.kind == SilenceKind.MAINTENANCE else "silence",
        silence_id=silence.id,
        why=why_held_back(silence),
        schedule=silence.schedule,
        predicate=None if silence.is_for_all else affected_by(silence).predicate(),
        running=silence.schedule.at(at),
    )


def why_held_back(silence: Silence) -> str:
    """Return what completes the sentence "Not sent because ..." for a silence."""
    about = f" ({silence.comment})" if silence.comment else ""
    if silence.kind == SilenceKind.MAINTENANCE:
        return f"maintenance{about} planned by {silence.created_by} is under way"
    return f"{silence.created_by} silenced it{about}"
