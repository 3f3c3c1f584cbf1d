"""The numbers of the Overview page: an org's metrics in a period and in the period before."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from anomify.anomaly.model import Anomaly, Span
from anomify.anomaly.queries import count_anomalies, moment
from anomify.anomaly.ranking import Stretch
from anomify.db import session
from anomify.errors import Invalid
from anomify.metric.judged_counts import HOUR_MS, judged_by_hour, judged_points
from anomify.metric.queries import count_by_state
from anomify.metric.status import State

# Fourteen years of days; no chart shows more.
MOST_STRETCHES: Final = 5_000
# The states of metrics that report now.
LIVE: Final = (State.LEARNING, State.JUDGED, State.CONSTANT)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number for a period, and for the period of equal length before it."""

    now: int
    before: int

    @property
    def change_percent(self) -> float | None:
        """Return by how much it has changed; None where there was nothing before."""
        if not self.before:
            return None
        return round(100 * (self.now - self.before) / self.before, 1)


@dataclass(frozen=True, slots=True)
class Overview:
    """The numbers of an org."""

    # Points that were judged; whole hours, from the one in which the period begins.
    judged: Figure
    # Anomalies that began.
    anomalies: Figure
    # As of now, whatever the period.
    metrics: int
    live_metrics: int


def overview_of(org_id: int, *, from_ms: int, until_ms: int, at: datetime) -> Overview:
    """Return the numbers of a period and of the one before it, computed from what is recorded."""
    length = until_ms - from_ms
    earlier_ms = max(from_ms - length, 0)
    first_hour_ms, earlier_hour_ms = (
        start_ms // HOUR_MS * HOUR_MS for start_ms in (from_ms, earlier_ms)
    )
    states = count_by_state(org_id, at)
    return Overview(
        judged=Figure(
            judged_points(org_id, first_hour_ms, until_ms),
            judged_points(org_id, earlier_hour_ms, first_hour_ms),
        ),
        anomalies=Figure(
            count_anomalies(org_id, from_ms=from_ms, until_ms=until_ms),
            count_anomalies(org_id, from_ms=earlier_ms, until_ms=from_ms),
        ),
        metrics=sum(states.values()),
        live_metrics=sum(states[state] for state in LIVE),
    )


def first_anomaly_ms(org_id: int) -> int | None:
    """Return when the org's first anomaly began; None while it has had none."""
    first = session().scalar(
        select(Anomaly.id).where(Anomaly.org_id == org_id).order_by(Anomaly.opened_at).limit(1)
    )
    return None if first is None else session().get_one(Span, first).started_ms


def anomalies_over_time(
    org_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> list[Stretch]:
    """Count the anomalies that began in each stretch of the window, oldest first.

    Stretches begin at whole multiples of their length since 1970, the first one perhaps before the
    window. Raises Invalid where the window has more than 5,000 of them.
    """
    stretches = range(from_ms - from_ms % stretch_ms, until_ms, stretch_ms)
    if len(stretches) > MOST_STRETCHES:
        raise Invalid(
            f"A graph has at most {MOST_STRETCHES:,} stretches: ask for longer ones.",
            fields={"bucket": "too short for this window"},
        )
    start = (Span.started_ms - Span.started_ms % stretch_ms).label("start")
    rows = session().execute(
        select(start, func.count())
        .join(Anomaly, Anomaly.id == Span.anomaly_id)
        .where(
            Anomaly.org_id == org_id,
            Anomaly.opened_at >= moment(from_ms),
            Anomaly.opened_at < moment(until_ms),
        )
        .group_by(start)
    )
    counts = {int(start_ms): int(count) for start_ms, count in rows}
    return [Stretch(start_ms, counts.get(start_ms, 0)) for start_ms in stretches]


def judged_over_time(
    org_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> list[tuple[int, int]]:
    """Count the points that were judged in each stretch of the window, oldest first.

    They are counted by the hour; an hour belongs to the stretch in which it begins. The stretches
    are those of `anomalies_over_time`, which raises where there are too many.
    """
    stretches = range(from_ms - from_ms % stretch_ms, until_ms, stretch_ms)
    counts: Counter[int] = Counter()
    for hour_ms, points in judged_by_hour(org_id, stretches.start, until_ms):
        counts[hour_ms - hour_ms % stretch_ms] += points
    return [(start_ms, counts[start_ms]) for start_ms in stretches]
