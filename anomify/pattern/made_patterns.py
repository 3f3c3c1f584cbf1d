"""Make patterns of an excursion: one of each window before it, which derive from the longest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from anomify.anomaly.model import Span
from anomify.clock import now
from anomify.db import session
from anomify.detection.excursion import Excursion
from anomify.metric.model import Metric, Progress
from anomify.metric.store import PointStore
from anomify.pattern.changes import note_change
from anomify.pattern.family import family_hash
from anomify.pattern.model import (
    CreatorType,
    Pattern,
    PatternOrigin,
    PatternState,
    Scope,
)
from anomify.pattern.points import (
    Onset,
    evidence_of,
    farthest_value,
    judged_series,
    series_of,
)
from anomify.pattern.trainability import (
    window_in,
)
from anomify.series import Series

# The points after the last one over the threshold that may still belong to an excursion.
READ_AFTER_MS: Final = 2 * 86_400_000


@dataclass(frozen=True, slots=True)
class Trainer:
    """Who trains: the name in the audit trail, and the user where it is one."""

    name: str
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class PatternFields:
    """What the patterns of one training have in common."""

    org_id: int
    metric: Metric
    anomaly_id: int | None
    positive: bool
    label: str
    scope: Scope
    trainer: Trainer
    origin: PatternOrigin = PatternOrigin.TRAINED
    creator_type: CreatorType = CreatorType.USER
    state: PatternState = PatternState.ACTIVE


def make_patterns(
    fields: PatternFields, excursion: Excursion, series: Series, durations: Iterable[int]
) -> list[Pattern]:
    """Make a pattern of each of these windows from one excursion, the longest first.

    Shorter ones are derived from the longest one; all are of one group.
    """
    made: list[Pattern] = []
    for seconds in sorted(set(durations), reverse=True):
        pattern = _pattern(fields, excursion, seconds)
        pattern.parent_id = made[0].id if made else None
        session().add(pattern)
        session().flush()
        pattern.group_id = made[0].id if made else pattern.id
        stored = series_of(excursion, window_in(series, excursion.started_ms, seconds), seconds)
        stored.pattern_id = pattern.id
        session().add(stored)
        made.append(pattern)
    session().flush()
    if fields.state == PatternState.ACTIVE:
        note_change(fields.org_id)
    return made


def read_judged(
    points: PointStore, span: Span, progress: Progress, duration_seconds: int
) -> Series:
    """Return the points of a window before an anomaly and of the anomaly, as judged."""
    from_ms = span.started_ms - duration_seconds * 1000 - 2 * max(progress.resolution_ms, 1)
    series = points.read(span.metric_id, from_ms, span.last_over_ms + READ_AFTER_MS)
    return judged_series(series, is_counter=progress.is_counter)


def onset_of(span: Span) -> Onset:
    """Return what is recorded of the beginning of an anomaly."""
    return Onset(
        started_ms=span.started_ms,
        lower=span.expected_lower,
        upper=span.expected_upper,
        evidence=evidence_of(span.evidence),
        alert=span.alert,
        last_over_ms=span.last_over_ms,
    )


def _pattern(fields: PatternFields, excursion: Excursion, duration_seconds: int) -> Pattern:
    at = now()
    return Pattern(
        org_id=fields.org_id,
        metric_id=fields.metric.id,
        metric=fields.metric,
        anomaly_id=fields.anomaly_id,
        origin=fields.origin.value,
        creator_type=fields.creator_type.value,
        creator_user_id=fields.trainer.user_id,
        created_by=fields.trainer.name,
        created_at=at,
        duration_seconds=duration_seconds,
        label=fields.label,
        positive=fields.positive,
        scope=fields.scope.value,
        family_hash=family_hash(fields.metric.name) if fields.scope == Scope.FAMILY else None,
        state=fields.state.value,
        state_at=at,
        state_by=fields.trainer.name,
        started_ms=excursion.started_ms,
        last_ms=int(excursion.times[-1]),
        expected_lower=excursion.lower,
        expected_upper=excursion.upper,
        value=farthest_value(excursion),
        evidence=excursion.evidence.name.lower(),
        alert=excursion.alert,
        step_ms=excursion.step_ms,
    )
