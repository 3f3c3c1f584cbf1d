"""Queries for patterns and waiting trainings; the org is the first argument."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import contains_eager, joinedload

from anomify.anomaly.model import Anomaly, Span
from anomify.db import Page, among, read_pairs, session
from anomify.errors import NotFound
from anomify.job.model import DEAD, PENDING
from anomify.pattern.model import Pattern, PatternSeries, PatternState, Training, WouldHide
from anomify.pattern.points import window_of
from anomify.series import Series

MOST_PATTERNS = 500


def get_pattern(org_id: int, pattern_id: int) -> Pattern:
    """Return the org's pattern with its metric. Raises NotFound."""
    pattern = session().scalar(
        select(Pattern)
        .where(Pattern.org_id == org_id, Pattern.id == pattern_id)
        .options(joinedload(Pattern.metric))
    )
    if pattern is None:
        raise NotFound("There is no such pattern in your org.")
    return pattern


def hold_pattern(pattern_id: int) -> bool:
    """Keep a pattern of any org until the open unit of work ends; return whether it is there.

    It is deleted with its metric, while it may be known to explain others of its family.
    """
    held = select(Pattern.id).where(Pattern.id == pattern_id)
    return session().scalar(held.with_for_update(read=True, key_share=True)) is not None


def list_patterns(
    org_id: int,
    *,
    metric_id: int | None = None,
    states: Collection[PatternState] = (PatternState.ACTIVE,),
    origin: str | None = None,
    duration_seconds: int | None = None,
    positive: bool | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[Pattern]:
    """List the org's patterns in these states, newest first, with their metrics."""
    wanted: list[ColumnElement[bool]] = [Pattern.org_id == org_id, Pattern.state.in_(states)]
    if metric_id is not None:
        wanted.append(Pattern.metric_id == metric_id)
    if origin is not None:
        wanted.append(Pattern.origin == origin)
    if duration_seconds is not None:
        wanted.append(Pattern.duration_seconds == duration_seconds)
    if positive is not None:
        wanted.append(Pattern.positive.is_(positive))
    rows = session().scalars(
        select(Pattern)
        .where(*wanted)
        .order_by(Pattern.created_at.desc(), Pattern.id.desc())
        .limit(min(limit, MOST_PATTERNS))
        .offset(offset)
        .options(joinedload(Pattern.metric))
    )
    return Page(list(rows), select(func.count()).select_from(Pattern).where(*wanted))


def count_patterns(
    org_id: int,
    *,
    states: Collection[PatternState] = (PatternState.ACTIVE,),
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> int:
    """Count the org's patterns in these states that were made in the window."""
    wanted = [Pattern.org_id == org_id, Pattern.state.in_(states)]
    if from_at is not None:
        wanted.append(Pattern.created_at >= from_at)
    if until_at is not None:
        wanted.append(Pattern.created_at < until_at)
    return session().scalar(select(func.count()).select_from(Pattern).where(*wanted)) or 0


def list_creation_times(org_id: int, from_at: datetime, until_at: datetime) -> list[datetime]:
    """Return when the org's patterns were made that people trained in the window, in order."""
    return list(
        session().scalars(
            select(Pattern.created_at)
            .where(
                Pattern.org_id == org_id,
                Pattern.state != PatternState.PROPOSED,
                Pattern.created_at >= from_at,
                Pattern.created_at < until_at,
            )
            .order_by(Pattern.created_at)
        )
    )


def count_patterns_of(org_id: int, metric_ids: Iterable[int]) -> dict[int, int]:
    """Count the patterns in use of each of these metrics; one without any is missing."""
    return read_pairs(
        select(Pattern.metric_id, func.count())
        .where(
            Pattern.org_id == org_id,
            Pattern.state == PatternState.ACTIVE,
            among(Pattern.metric_id, metric_ids),
        )
        .group_by(Pattern.metric_id)
    )


def patterns_by_anomaly(org_id: int, anomaly_ids: Iterable[int]) -> dict[int, list[Pattern]]:
    """Return the patterns trained from each of these anomalies; one without any is missing."""
    found: dict[int, list[Pattern]] = {}
    rows = session().scalars(
        select(Pattern)
        .where(Pattern.org_id == org_id, among(Pattern.anomaly_id, anomaly_ids))
        .order_by(Pattern.id)
        .options(joinedload(Pattern.metric))
    )
    for pattern in rows:
        if pattern.anomaly_id is not None:
            found.setdefault(pattern.anomaly_id, []).append(pattern)
    return found


def patterns_by_id(org_id: int, pattern_ids: Iterable[int]) -> dict[int, Pattern]:
    """Return those of the org's patterns that have these ids, by id."""
    wanted = set(pattern_ids)
    if not wanted:
        return {}
    rows = session().scalars(
        select(Pattern).where(Pattern.org_id == org_id, among(Pattern.id, wanted))
    )
    return {row.id: row for row in rows}


def children_of(org_id: int, pattern_id: int) -> list[Pattern]:
    """Return the patterns that were derived from this one, directly, oldest first."""
    return list(
        session().scalars(
            select(Pattern)
            .where(Pattern.org_id == org_id, Pattern.parent_id == pattern_id)
            .order_by(Pattern.id)
        )
    )


def read_window(pattern: Pattern) -> Series:
    """Return the stored points of a pattern's window, with their expected ranges."""
    return window_of(get_series(pattern))


def get_series(pattern: Pattern) -> PatternSeries:
    """Return the stored points of a pattern, encoded."""
    return session().get_one(PatternSeries, pattern.id)


def list_pending(
    org_id: int, *, metric_id: int | None = None, limit: int = 50, offset: int = 0
) -> Page[Training]:
    """List the org's trainings that wait for points, and those refused since; newest first."""
    wanted = [Training.org_id == org_id, Training.state.in_((PENDING, DEAD))]
    if metric_id is not None:
        wanted.append(Training.metric_id == metric_id)
    rows = session().scalars(
        select(Training)
        .where(*wanted)
        .order_by(Training.id.desc())
        .limit(min(limit, MOST_PATTERNS))
        .offset(offset)
        .options(joinedload(Training.metric))
    )
    return Page(list(rows), select(func.count()).select_from(Training).where(*wanted))


def pending_by_anomaly(org_id: int, anomaly_ids: Iterable[int]) -> dict[int, list[Training]]:
    """Return the waiting trainings of each of these anomalies; one without any is missing."""
    found: dict[int, list[Training]] = {}
    rows = session().scalars(
        select(Training)
        .where(
            Training.org_id == org_id,
            Training.state == PENDING,
            among(Training.anomaly_id, anomaly_ids),
        )
        .order_by(Training.id)
        .options(joinedload(Training.metric))
    )
    for training in rows:
        found.setdefault(training.anomaly_id, []).append(training)
    return found


def list_would_hide(
    org_id: int, pattern_id: int, *, limit: int = 50, offset: int = 0
) -> Page[Anomaly]:
    """List the anomalies that a proposed pattern would have explained, newest first.

    Span and metric are loaded.
    """
    wanted = [Anomaly.org_id == org_id, WouldHide.pattern_id == pattern_id]
    rows = session().scalars(
        select(Anomaly)
        .join(WouldHide, WouldHide.anomaly_id == Anomaly.id)
        .join(Anomaly.span)
        .join(Span.metric)
        .where(*wanted)
        .order_by(Anomaly.opened_at.desc(), Anomaly.id.desc())
        .limit(min(limit, MOST_PATTERNS))
        .offset(offset)
        .options(contains_eager(Anomaly.span).contains_eager(Span.metric))
    )
    counted = select(func.count()).select_from(WouldHide).join(Anomaly).where(*wanted)
    return Page(list(rows), counted)


def count_would_hide(org_id: int, pattern_ids: Iterable[int]) -> dict[int, int]:
    """Count the anomalies that each of these patterns would have explained."""
    return read_pairs(
        select(WouldHide.pattern_id, func.count())
        .join(Pattern, Pattern.id == WouldHide.pattern_id)
        .where(Pattern.org_id == org_id, among(WouldHide.pattern_id, pattern_ids))
        .group_by(WouldHide.pattern_id)
    )
