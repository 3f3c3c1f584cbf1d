"""Queries for matches; the org is the first argument."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import joinedload

from anomify.clock import now_ms
from anomify.db import Page, among, read_pairs, session
from anomify.errors import NotFound
from anomify.match.model import Match, Validated
from anomify.metric.model import Metric
from anomify.pattern.model import Pattern

MOST_MATCHES = 500


class RecentlyMatched(NamedTuple):
    """A metric with how often it was matched, and when the last match began."""

    metric: Metric
    matches: int
    last_ms: int


def get_match(org_id: int, match_id: int) -> Match:
    """Return the org's match with its pattern and metric. Raises NotFound."""
    match = session().scalar(_with_pattern().where(Match.org_id == org_id, Match.id == match_id))
    if match is None:
        raise NotFound("There is no such match in your org.")
    return match


def list_matches(
    org_id: int,
    *,
    metric_id: int | None = None,
    pattern_id: int | None = None,
    pattern_ids: Iterable[int] | None = None,
    from_ms: int | None = None,
    until_ms: int | None = None,
    validated: Validated | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> Page[Match]:
    """List matches that overlap the window, newest first, with pattern and metric loaded."""
    wanted: list[ColumnElement[bool]] = [Match.org_id == org_id]
    if metric_id is not None:
        wanted.append(Match.metric_id == metric_id)
    if pattern_id is not None:
        wanted.append(Match.pattern_id == pattern_id)
    if pattern_ids is not None:
        wanted.append(among(Match.pattern_id, pattern_ids))
    if until_ms is not None:
        wanted.append(Match.started_ms < until_ms)
    if from_ms is not None:
        has_lasted = Match.last_ms >= from_ms
        # An open one is known to last until now; a window in the future has none yet.
        wanted.append(has_lasted if from_ms > now_ms() else or_(Match.is_open, has_lasted))
    if validated is not None:
        wanted.append(Match.validated == validated)
    order = (Match.started_ms, Match.id)
    rows = session().scalars(
        _with_pattern()
        .where(*wanted)
        .order_by(*(order if oldest_first else (column.desc() for column in order)))
        .limit(min(limit, MOST_MATCHES))
        .offset(offset)
    )
    return Page(list(rows), select(func.count()).select_from(Match).where(*wanted))


def count_matches(org_id: int, *, from_ms: int, until_ms: int) -> int:
    """Count the matches that began in the window: the alarms that were spared.

    One that became an anomaly, and one that had been announced as an anomaly before, spared none.
    """
    return (
        session().scalar(
            select(func.count())
            .select_from(Match)
            .where(*_spared(org_id), Match.started_ms >= from_ms, Match.started_ms < until_ms)
        )
        or 0
    )


def list_match_times(org_id: int, from_ms: int, until_ms: int) -> list[int]:
    """Return when the matches began that spared an alarm in the window, in order."""
    return list(
        session().scalars(
            select(Match.started_ms)
            .where(*_spared(org_id), Match.started_ms >= from_ms, Match.started_ms < until_ms)
            .order_by(Match.started_ms)
        )
    )


def count_matches_of(
    org_id: int, metric_ids: Iterable[int], *, from_ms: int, until_ms: int
) -> dict[int, int]:
    """Count the matches of each of these metrics that began in the window; none is missing."""
    return read_pairs(
        select(Match.metric_id, func.count())
        .where(
            *_spared(org_id),
            among(Match.metric_id, metric_ids),
            Match.started_ms >= from_ms,
            Match.started_ms < until_ms,
        )
        .group_by(Match.metric_id)
    )


def count_matches_of_metric(org_id: int, metric_id: int) -> int:
    """Count all matches of a metric."""
    return (
        session().scalar(
            select(func.count())
            .select_from(Match)
            .where(Match.org_id == org_id, Match.metric_id == metric_id)
        )
        or 0
    )


def count_matches_by_stretch(
    org_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> dict[int, int]:
    """Count the matches that spared an alarm, by the stretch of time in which they began.

    Stretches begin at multiples of their length since 1970; one without a match is missing.
    """
    stretch = (Match.started_ms - Match.started_ms % stretch_ms).label("stretch")
    rows = session().execute(
        select(stretch, func.count())
        .where(*_spared(org_id), Match.started_ms >= from_ms, Match.started_ms < until_ms)
        .group_by(stretch)
    )
    return {int(start_ms): int(count) for start_ms, count in rows}


def list_spared(org_id: int, *, from_ms: int, until_ms: int, limit: int = 50) -> list[Match]:
    """Return the newest matches that spared an alarm and began in the window."""
    return list(
        session().scalars(
            _with_pattern()
            .where(*_spared(org_id), Match.started_ms >= from_ms, Match.started_ms < until_ms)
            .order_by(Match.started_ms.desc(), Match.id.desc())
            .limit(min(limit, MOST_MATCHES))
        )
    )


def list_recently_matched(
    org_id: int, *, from_ms: int | None = None, limit: int = 10, offset: int = 0
) -> Page[RecentlyMatched]:
    """List the metrics that were matched, in the order of their last match, latest first."""
    wanted = [Match.org_id == org_id]
    if from_ms is not None:
        wanted.append(Match.started_ms >= from_ms)
    last = func.max(Match.started_ms)
    found = session().execute(
        select(Match.metric_id, func.count(), last)
        .where(*wanted)
        .group_by(Match.metric_id)
        .order_by(last.desc(), Match.metric_id)
        .limit(min(limit, MOST_MATCHES))
        .offset(offset)
    )
    rows = [(int(row[0]), int(row[1]), int(row[2])) for row in found]
    metrics = {
        metric.id: metric
        for metric in session().scalars(
            select(Metric).where(
                Metric.org_id == org_id, among(Metric.id, [row[0] for row in rows])
            )
        )
    }
    counted = select(func.count(Match.metric_id.distinct())).where(*wanted)
    return Page([RecentlyMatched(metrics[row[0]], row[1], row[2]) for row in rows], counted)


def open_matches(metric_ids: Iterable[int]) -> list[Match]:
    """Return the open matches of these metrics of any org, with pattern and metric loaded."""
    return list(
        session().scalars(
            _with_pattern().where(Match.is_open.is_(True), among(Match.metric_id, metric_ids))
        )
    )


def list_metrics_with_open_matches(metric_ids: Iterable[int]) -> list[int]:
    """Return those of these metrics, of any org, that have an open match."""
    return list(
        session().scalars(
            select(Match.metric_id).where(
                Match.is_open.is_(True), among(Match.metric_id, metric_ids)
            )
        )
    )


def _spared(org_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Match.org_id == org_id,
        Match.anomaly_id.is_(None),
        Match.outgrown_by_anomaly_id.is_(None),
        # Also where the anomaly that it became was deleted.
        Match.outgrown_reason.is_(None),
    )


def _with_pattern() -> Select[Match]:
    return select(Match).options(joinedload(Match.pattern), joinedload(Match.metric))


def list_explained_elsewhere(metric_id: int) -> dict[int, int]:
    """Return the ids of a metric's patterns that explained others, each with one of those."""
    return read_pairs(
        select(Match.pattern_id, func.max(Match.metric_id))
        .join(Pattern, Pattern.id == Match.pattern_id)
        .where(Pattern.metric_id == metric_id, Match.metric_id != metric_id)
        .group_by(Match.pattern_id)
    )
