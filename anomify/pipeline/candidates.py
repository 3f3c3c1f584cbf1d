"""Select the candidates of a tick: the few metrics that are, or may become, anomalous. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.anomaly.recording import Observation, closing_after_ms
from anomify.detection.detector import Verdicts
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain, is_jump, usual_level
from anomify.detection.threshold import Severity, severity_of
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.score import Scored
from anomify.series import Bools, Int64s

OUTSIDE: Final = (Evidence.ABOVE, Evidence.BELOW)
# A point farther outside of its range than all others so far continues an anomaly from this share
# of the threshold on.
OUTSIDE_SHARE: Final = 0.5
NO_SETTINGS: Mapping[int, Wanted] = {}


@dataclass(frozen=True, slots=True)
class PointVerdict:
    """The engine's verdict on one point of one metric, with the metric's threshold."""

    time_ms: int
    alert: float
    strength: float
    score: float
    value: float
    lower: float
    upper: float
    evidence: Evidence
    # What the explanation states beside value and range; NaN where there is nothing.
    amount: float
    # An alert below this opens no anomaly; a strength below it does not extend an open one.
    least_alert: float
    unit: str
    # What the time of the day and of the week adds to the forecast; NaN while no season is learnt.
    season: float = math.nan

    @property
    def opens(self) -> bool:
        """Return whether an anomaly begins at this point when none is open."""
        return self.alert >= self.least_alert

    @property
    def extends(self) -> bool:
        """Return whether an open anomaly continues at this point."""
        return self.strength >= self.least_alert

    @property
    def is_outside(self) -> bool:
        """Return whether an open anomaly continues at this point if no other was as far outside.

        A value that leaves its range slowly is further away with every point, but less and less of
        a surprise.
        """
        is_strong = self.strength >= OUTSIDE_SHARE * self.least_alert
        return is_strong and self.evidence in OUTSIDE

    @property
    def distance(self) -> float:
        """How far the value is outside of its expected range, 0 inside."""
        return max(self.value - self.upper, self.lower - self.value, 0.0)

    def observation(self) -> Observation:
        """Return what is recorded of this point."""
        severity = severity_of(self.alert) or Severity.LOW
        is_flat = self.evidence is Evidence.FLAT and math.isfinite(self.amount)
        return Observation(
            time_ms=self.time_ms,
            value=self.value,
            # Values near the ends of what a float holds overflow in the engine. No database column
            # may get NaN: SQLite stores it as NULL.
            expected_lower=-math.inf if math.isnan(self.lower) else self.lower,
            expected_upper=math.inf if math.isnan(self.upper) else self.upper,
            score=1.0 if math.isnan(self.score) else self.score,
            alert=self.alert,
            severity=severity.name.lower(),
            evidence=self.evidence.name.lower(),
            explanation=explain(
                self.evidence,
                self.value,
                self.lower,
                self.upper,
                amount=self.amount,
                unit=self.unit or None,
            ),
            amount=self._recorded_amount(),
            since_ms=self.time_ms - round(self.amount * 1000) if is_flat else None,
        )

    def _recorded_amount(self) -> float | None:
        """Return how far the point is from what was expected, in the unit of its evidence.

        None where that is not finite.
        """
        match self.evidence:
            case Evidence.ABOVE:
                amount = self.value - self.upper
            case Evidence.BELOW:
                amount = self.value - self.lower
            case Evidence.JUMP:
                has_jumped = is_jump(self.amount, self.value, self.lower, self.upper)
                amount = self.value - self.amount if has_jumped else math.nan
            case Evidence.SHIFTED:
                amount = self.amount - usual_level(self.lower, self.upper)
            case _:
                amount = self.amount
        return amount if math.isfinite(amount) else None


@dataclass(frozen=True, slots=True)
class StoredVerdicts:
    """The verdicts on selected points of one metric, in arrays: a year of them needs little memory.

    `times` int64 (n,) and the rows of `verdicts` belong together.
    """

    times: Int64s
    verdicts: Verdicts
    least_alert: float
    unit: str

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def __iter__(self) -> Iterator[PointVerdict]:
        """Yield them one by one."""
        return point_verdicts_of(
            self.times,
            self.verdicts,
            np.arange(len(self)),
            least_alert=self.least_alert,
            unit=self.unit,
        )

    def of(self, rows: Int64s | Bools) -> "StoredVerdicts":
        """Return some of them: their numbers or a mask."""
        return StoredVerdicts(self.times[rows], self.verdicts.of(rows), self.least_alert, self.unit)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A metric whose points of this tick may open, extend or close an anomaly.

    `times` and `verdicts` are the arrays of the whole tick, shared by all candidates; `rows` are
    the judged rows of this metric in them, in order of acceptance.
    """

    metric_id: int
    times: Int64s
    verdicts: Verdicts
    rows: Int64s
    least_alert: float
    unit: str
    # How long the metric must be normal before its anomaly closes.
    closing_ms: int
    step_ms: int
    is_counter: bool
    # The time of the first point that was not late; None where all were late.
    reports_from_ms: int | None

    @property
    def opens_at_ms(self) -> int | None:
        """The time of the first point at which an anomaly could begin; None without one."""
        opening = self.rows[self.verdicts.alerts[self.rows] >= self.least_alert]
        return int(self.times[opening[0]]) if len(opening) else None

    def point_verdicts(self) -> Iterator[PointVerdict]:
        """Yield the verdicts on the judged points, in order."""
        return point_verdicts_of(
            self.times, self.verdicts, self.rows, least_alert=self.least_alert, unit=self.unit
        )


def find_candidates(
    scored: Scored,
    open_metric_ids: Iterable[int],
    settings: Mapping[int, Wanted] = NO_SETTINGS,
) -> list[Candidate]:
    """Return a candidate for each metric of the tick that needs a closer look, by metric id.

    That is each metric with a judged point at or above its threshold, and each of
    `open_metric_ids`, the metrics with an open anomaly or match. `settings` holds the settings of
    the metrics for which people have set something.
    """
    return [
        _candidate_at(int(place), scored, settings) for place in _places(scored, open_metric_ids)
    ]


def point_verdicts_of(
    times: Int64s, verdicts: Verdicts, rows: Int64s, *, least_alert: float, unit: str
) -> Iterator[PointVerdict]:
    """Yield the verdicts on these rows of one metric, one by one."""
    for row in rows:
        yield PointVerdict(
            time_ms=int(times[row]),
            alert=float(verdicts.alerts[row]),
            strength=float(verdicts.strengths[row]),
            score=float(verdicts.scores[row]),
            value=float(verdicts.values[row]),
            lower=float(verdicts.lowers[row]),
            upper=float(verdicts.uppers[row]),
            evidence=Evidence(int(verdicts.evidence[row])),
            amount=float(verdicts.amounts[row]),
            least_alert=least_alert,
            unit=unit,
            season=float(verdicts.seasons[row]),
        )


def _candidate_at(place: int, scored: Scored, settings: Mapping[int, Wanted]) -> Candidate:
    metric_id = int(scored.metric_ids[place])
    first, last = scored.starts[place], scored.starts[place + 1]
    in_order = np.flatnonzero(~scored.is_late[first:last])
    return Candidate(
        metric_id=metric_id,
        times=scored.points.times,
        verdicts=scored.verdicts,
        rows=first + np.flatnonzero(scored.verdicts.judged[first:last]),
        least_alert=float(scored.least_alerts[place]),
        unit=settings.get(metric_id, AS_SHIPPED).unit,
        closing_ms=closing_after_ms(int(scored.summary.resolution_ms[place])),
        step_ms=int(scored.summary.resolution_ms[place]),
        is_counter=bool(scored.summary.is_counter[place]),
        reports_from_ms=int(scored.points.times[first + in_order[0]]) if len(in_order) else None,
    )


def _places(scored: Scored, open_metric_ids: Iterable[int]) -> Int64s:
    """Return the places in `scored.metric_ids` of the metrics that are candidates."""
    verdicts = scored.verdicts
    least_alerts = np.repeat(scored.least_alerts, np.diff(scored.starts))
    over = np.flatnonzero(verdicts.judged & (verdicts.alerts >= least_alerts))
    is_open = np.isin(scored.metric_ids, np.fromiter(open_metric_ids, np.int64))
    return np.union1d(
        np.searchsorted(scored.metric_ids, scored.points.metric_ids[over]), np.flatnonzero(is_open)
    )
