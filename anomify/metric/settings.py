"""The settings of a metric: which deviations matter, and which kind it is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.detection.threshold import threshold_for
from anomify.detection.tuning import AS_COUNTER, AS_GAUGE, BOTH_WAYS, DOWNWARDS, UPWARDS, Tuning
from anomify.metric.model import Metric, MetricSettings
from anomify.metric.progress import allow_silence, request_rebuild


class Direction(StrEnum):
    """Which deviations are worth an anomaly."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"


class MetricKind(StrEnum):
    """Whether the values are judged, or their increase per second."""

    AUTO = "auto"
    GAUGE = "gauge"
    COUNTER = "counter"


_DIRECTIONS: Final[Mapping[Direction, int]] = {
    Direction.BOTH: BOTH_WAYS,
    Direction.UP: UPWARDS,
    Direction.DOWN: DOWNWARDS,
}
_KINDS: Final[Mapping[MetricKind, int]] = {
    MetricKind.AUTO: 0,
    MetricKind.GAUGE: AS_GAUGE,
    MetricKind.COUNTER: AS_COUNTER,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The settings of one metric, with their defaults.

    With `step_ms` None and `kind` auto they are measured. `false_alarms` is the accepted number
    a week, None for the default sensitivity.
    """

    direction: Direction = Direction.BOTH
    smallest_change: float = 0.0
    kind: MetricKind = MetricKind.AUTO
    step_ms: int | None = None
    unit: str = ""
    may_be_silent: bool = False
    false_alarms: float | None = None

    @property
    def tuning(self) -> Tuning:
        """Return the settings that the engine uses."""
        return Tuning(
            direction=_DIRECTIONS[self.direction],
            smallest_change=self.smallest_change,
            kind=_KINDS[self.kind],
            step_ms=self.step_ms or 0,
            threshold=_threshold(self.false_alarms),
        )


AS_SHIPPED: Final = Wanted()


def wanted_of(metric_id: int) -> Wanted:
    """Return the settings of a metric."""
    row = session().get(MetricSettings, metric_id)
    return AS_SHIPPED if row is None else _wanted(row)


def change_settings(metric: Metric, wanted: Wanted, actor: str) -> bool:
    """Store the settings of a metric; return whether its earlier points are judged again.

    They are if the kind or the step changes, because values and seasons then differ. The other
    settings apply from the next point on.
    """
    before = wanted_of(metric.id)
    if wanted == before:
        return False
    at = now()
    changed = {name for name, value in asdict(wanted).items() if value != getattr(before, name)}
    record_audit(
        metric.org_id,
        actor=actor,
        action="metric.settings",
        target=metric.name,
        before={name: value for name, value in asdict(before).items() if name in changed},
        after={name: value for name, value in asdict(wanted).items() if name in changed},
    )
    session().merge(
        MetricSettings(
            metric_id=metric.id,
            direction=wanted.direction,
            smallest_change=wanted.smallest_change,
            kind=wanted.kind,
            step_ms=wanted.step_ms,
            unit=wanted.unit,
            may_be_silent=wanted.may_be_silent,
            false_alarms=wanted.false_alarms,
            changed_at=at,
        )
    )
    if wanted.may_be_silent != before.may_be_silent:
        allow_silence(metric.id, is_allowed=wanted.may_be_silent)
    is_other = (wanted.kind, wanted.step_ms) != (before.kind, before.step_ms)
    if is_other:
        request_rebuild(metric.id, "settings", at)
    return is_other


def settings_since(changed_at: datetime | None) -> tuple[dict[int, Wanted], datetime | None]:
    """Return the settings changed since a time, by metric, and the time of the last change."""
    wanted = select(MetricSettings).order_by(MetricSettings.changed_at)
    if changed_at is not None:
        wanted = wanted.where(MetricSettings.changed_at >= changed_at)
    rows = list(session().scalars(wanted))
    last = rows[-1].changed_at if rows else changed_at
    return {row.metric_id: _wanted(row) for row in rows}, last


def _wanted(row: MetricSettings) -> Wanted:
    return Wanted(
        direction=Direction(row.direction),
        smallest_change=row.smallest_change,
        kind=MetricKind(row.kind),
        step_ms=row.step_ms,
        unit=row.unit,
        may_be_silent=row.may_be_silent,
        false_alarms=row.false_alarms,
    )


def _threshold(false_alarms: float | None) -> float:
    return 0.0 if false_alarms is None else threshold_for(false_alarms)
