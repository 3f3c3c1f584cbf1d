"""Patterns of excursions that had not ended when they were trained: each grows until it has."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import select

from anomify.anomaly.model import Span
from anomify.clock import to_ms
from anomify.db import session
from anomify.detection.excursion import MOST_POINTS, Excursion
from anomify.detection.mismatch import MismatchReason
from anomify.detection.pattern_match import Patterns
from anomify.match.model import Match
from anomify.metric.model import Progress
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.changes import note_change
from anomify.pattern.model import Pattern, PatternSeries
from anomify.pattern.points import (
    Onset,
    context_ms,
    encode_excursion,
    evidence_of,
    excursion_in,
    excursion_of,
    farthest_value,
    judged_series,
)

# A metric without a point for so long has ended its excursion.
GIVEN_UP_AFTER: Final = timedelta(days=2)
# An excursion that becomes one of these is not what was trained: the pattern stays as it was.
_OTHER: Final = (MismatchReason.LARGER, MismatchReason.OTHER_DIRECTION)


def list_growing() -> list[int]:
    """Return the ids of the patterns of any org whose excursion had not ended, oldest first."""
    wanted = select(Pattern.id).where(Pattern.is_growing.is_(True)).order_by(Pattern.id)
    return list(session().scalars(wanted))


def grow(pattern_id: int, points: PointStore, at: datetime) -> bool:
    """Store the whole excursion of a pattern if it has ended; return whether it had.

    What is larger than the pattern or goes to the other side is left out. An excursion that lasts
    for longer than the engine compares is stored up to there: it is the new normal.
    """
    pattern = session().get(Pattern, pattern_id, with_for_update=True, populate_existing=True)
    if pattern is None or not pattern.is_growing:
        return False
    stored = session().get_one(PatternSeries, pattern_id)
    org = session().get_one(Org, pattern.org_id)
    before = excursion_of(pattern, stored, ZoneInfo(org.timezone))
    current = _current(pattern, points, at, ZoneInfo(org.timezone))
    if current is not None and not _has_ended(pattern, current, at):
        return False
    if current is not None and _is_the_same(before, current):
        stored.excursion_points = encode_excursion(current)
        stored.context = current.context
        pattern.value = farthest_value(current)
        pattern.last_ms = max(pattern.last_ms, int(current.times[-1]))
    own = _own_match(pattern)
    if own is not None and own.outgrown_by_anomaly_id is None:
        pattern.last_ms = max(pattern.last_ms, own.last_ms)
    pattern.is_growing = False
    note_change(pattern.org_id)
    return True


def _current(
    pattern: Pattern, points: PointStore, at: datetime, zone: ZoneInfo
) -> Excursion | None:
    progress = session().get(Progress, pattern.metric_id)
    if progress is None:
        return None
    own = _own_match(pattern)
    onset = Onset(
        pattern.started_ms,
        pattern.expected_lower,
        pattern.expected_upper,
        evidence_of(pattern.evidence),
        pattern.alert,
        pattern.last_ms if own is None else max(pattern.last_ms, own.last_ms),
    )
    series = judged_series(
        points.read(
            pattern.metric_id, pattern.started_ms - context_ms(pattern.step_ms), to_ms(at) + 1
        ),
        is_counter=progress.is_counter,
    )
    return excursion_in(series, onset, pattern.step_ms, zone)


def _has_ended(pattern: Pattern, current: Excursion, at: datetime) -> bool:
    if len(current.values) - current.context > MOST_POINTS:
        return True
    if to_ms(at) - int(current.times[-1]) > GIVEN_UP_AFTER // timedelta(milliseconds=1):
        return True
    if current.direction:
        return current.is_complete
    # One that does not leave the range, as a constant value, lasts while the engine finds it.
    own = _own_match(pattern)
    if own is not None:
        return not own.is_open
    span = None if pattern.anomaly_id is None else session().get(Span, pattern.anomaly_id)
    return span is None or not span.is_open


def _is_the_same(before: Excursion, current: Excursion) -> bool:
    mismatch = Patterns([before]).mismatch(0, current)
    return mismatch is None or mismatch.reason not in _OTHER


def _own_match(pattern: Pattern) -> Match | None:
    return session().scalar(
        select(Match).where(
            Match.metric_id == pattern.metric_id, Match.started_ms == pattern.started_ms
        )
    )
