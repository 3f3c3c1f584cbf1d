"""Explains the excursions of one metric, point by point, by the patterns in its reach."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CALM_POINTS, MOST_POINTS, Excursion, excess_of
from anomify.detection.mismatch import MismatchReason
from anomify.detection.pattern_match import Explanation
from anomify.match.model import Match
from anomify.pattern.in_reach import PatternsInReach
from anomify.pattern.points import context_ms, evidence_of, local_time
from anomify.pattern.wording import contradicted_in_words, named, outgrown_in_words
from anomify.pipeline.candidates import PointVerdict
from anomify.pipeline.verdict import Continues, Ended, Followed, Matched, Outgrown
from anomify.series import Float64s, Int64s, Series

# A value within so much of its pattern's height outside of the range is back.
RETURNED_SHARE: Final = 0.1
# How much of a metric's past is read at once while it is judged again.
READ_AHEAD_MS: Final = 3 * 86_400_000


def ended_after_ms(step_ms: int, closing_ms: int) -> int:
    """Return how long after its last point an excursion is over, whatever the values are."""
    return max(closing_ms, CALM_POINTS * max(step_ms, 1))


class JudgedBefore(NamedTuple):
    """When an anomaly began and was last unusual that was recorded as one, and why it was told."""

    first_ms: int
    last_ms: int
    reason: str | None


class JudgedPoints(Protocol):
    """The points of one metric as judged: values, or a counter's increases per second."""

    def between(self, from_ms: int, until_ms: int) -> tuple[Int64s, Float64s]:
        """Return the times and values of a time range, ends included."""
        ...


@dataclass(frozen=True, slots=True)
class KnownPoints:
    """Points that are in memory, oldest first."""

    times: Int64s
    values: Float64s

    def between(self, from_ms: int, until_ms: int) -> tuple[Int64s, Float64s]:
        """Return the times and values of a time range, ends included."""
        first = int(np.searchsorted(self.times, from_ms))
        last = int(np.searchsorted(self.times, until_ms, side="right"))
        return self.times[first:last], self.values[first:last]


class StoredPoints:
    """Points that are read when they are needed; `read` returns those of a time range, as judged.

    Times must be asked for in ascending order, or some are read again.
    """

    def __init__(self, read: Callable[[int, int], Series]) -> None:
        """Start with nothing read."""
        self._read = read
        self._known = KnownPoints(np.empty(0, np.int64), np.empty(0))
        self._from_ms = self._until_ms = 0

    def between(self, from_ms: int, until_ms: int) -> tuple[Int64s, Float64s]:
        """Return the times and values of a time range, ends included."""
        if not self._from_ms <= from_ms <= until_ms < self._until_ms:
            self._from_ms, self._until_ms = from_ms, until_ms + READ_AHEAD_MS
            series = self._read(self._from_ms, self._until_ms)
            self._known = KnownPoints(series.times, series.values)
        return self._known.between(from_ms, until_ms)


class Explainer:
    """Compares the excursions of one metric with patterns; it only reads.

    `in_reach` is None where no pattern explains the metric any more. `judged_before` are the
    anomalies that were recorded when no pattern explained them.
    """

    def __init__(
        self,
        in_reach: PatternsInReach | None,
        points: JudgedPoints,
        *,
        step_ms: int,
        closing_ms: int,
        unit: str = "",
        judged_before: Sequence[JudgedBefore] = (),
        counts_checks: bool = True,
    ) -> None:
        """Take the patterns of a metric and its points up to the last verdict to be explained."""
        self._in_reach = in_reach
        self._points = points
        self._step_ms = max(step_ms, 1)
        self._gap_ms = ended_after_ms(step_ms, closing_ms)
        self._unit = unit
        self._judged_before = judged_before
        self._counts_checks = counts_checks
        # By the time of its first point: what explains an excursion, where that is known already.
        self._known: dict[int, Matched | None] = {}

    @property
    def counted_ids(self) -> list[int]:
        """The patterns for which is counted that each candidate is compared with them."""
        if self._in_reach is None or not self._counts_checks:
            return []
        return [pattern.id for pattern in self._in_reach.expected]

    def explain(self, verdict: PointVerdict) -> Matched | None:
        """Return the pattern that explains an excursion which begins at this point, if one does."""
        if self._in_reach is None or self._judged_at(verdict.time_ms) is not None:
            return None
        if verdict.time_ms not in self._known:
            self._known[verdict.time_ms] = self._explained_at(verdict, self._in_reach)
        return self._known[verdict.time_ms]

    def contradiction(self, verdict: PointVerdict) -> str | None:
        """Return which pattern would explain what begins here, but for unexpected excursions."""
        before = self._judged_at(verdict.time_ms)
        if before is not None or self._in_reach is None:
            return None if before is None else before.reason
        alone = self._in_reach.without_unexpected
        if alone is self._in_reach:
            return None
        matched = self._explained_at(verdict, alone)
        return None if matched is None else contradicted_in_words(matched.pattern.name)

    def prepare(self, point_verdicts: Iterable[PointVerdict]) -> None:
        """Compare the first excursion that could begin now, before a write transaction is open."""
        for verdict in point_verdicts:
            if verdict.opens:
                self.explain(verdict)
                return

    def follow(self, match: Match, verdict: PointVerdict) -> Followed:
        """Return what becomes of an explained excursion at its next point."""
        if verdict.time_ms - match.last_ms > self._gap_ms:
            return Ended()
        is_outside = bool(
            excess_of(np.array([verdict.value]), match.onset_lower, match.onset_upper)[0]
        )
        is_part = verdict.extends or is_outside
        current = self._excursion(
            match.started_ms,
            verdict.time_ms,
            match.onset_lower,
            match.onset_upper,
            evidence_of(match.evidence),
            max(match.alert, verdict.alert),
            match.last_ms,
        )
        pattern = None if self._in_reach is None else self._in_reach.find(match.pattern_id)
        if current is not None and _has_ended(current):
            return Ended(self._compared(match.pattern_id, current))
        if not is_part:
            return Continues(is_part=False)
        if pattern is None:
            other = self._explained(current, verdict.time_ms, self._in_reach)
            if other is not None:
                return Continues(is_part=True, matched=other)
            zone = ZoneInfo("UTC") if self._in_reach is None else self._in_reach.zone
            return Outgrown(outgrown_in_words(named(match.pattern, zone), None))
        if current is None or self._in_reach is None:
            return Continues(is_part=True)
        mismatch = self._in_reach.mismatch(pattern.id, current)
        if mismatch is None:
            return Continues(is_part=True)
        other = self._explained(current, verdict.time_ms, self._in_reach)
        if other is not None:
            return Continues(is_part=True, matched=other)
        if mismatch.reason is MismatchReason.LONGER and _has_returned(current, pattern.excursion):
            return Ended()
        return Outgrown(outgrown_in_words(pattern.name, mismatch, self._unit))

    def _explained_at(self, verdict: PointVerdict, in_reach: PatternsInReach) -> Matched | None:
        current = self._excursion(
            verdict.time_ms,
            verdict.time_ms,
            verdict.lower,
            verdict.upper,
            verdict.evidence,
            verdict.alert,
            verdict.time_ms,
        )
        return self._explained(current, verdict.time_ms, in_reach)

    def _explained(
        self, current: Excursion | None, until_ms: int, in_reach: PatternsInReach | None
    ) -> Matched | None:
        """Return what explains an excursion: by its shape, as one that began earlier, or else."""
        if current is None or in_reach is None:
            return None
        found = in_reach.explain(current)
        if found is not None and found[1].kind == "shape":
            return Matched(*found)
        times, values = self._points.between(
            until_ms - in_reach.looked_back_ms(self._gap_ms) - context_ms(self._step_ms),
            until_ms,
        )
        seconds, weekday = local_time(until_ms, in_reach.zone)
        noticed = replace(current, started_ms=until_ms, local_seconds=seconds, weekday=weekday)
        late = in_reach.explain_late(noticed, times, values, self._gap_ms)
        if late is not None:
            return Matched(*late)
        if found is None or in_reach.is_late_unexpected(noticed, times, values, self._gap_ms):
            return None
        is_usual = found[1].kind == "usual"
        labels = (in_reach.count_as_strong(current.alert) or None) if is_usual else None
        return Matched(*found, labels=labels)

    def _compared(self, pattern_id: int, current: Excursion) -> Explanation | None:
        return None if self._in_reach is None else self._in_reach.compare(pattern_id, current)

    def _excursion(
        self,
        started_ms: int,
        until_ms: int,
        lower: float,
        upper: float,
        evidence: Evidence,
        alert: float,
        last_over_ms: int,
    ) -> Excursion | None:
        """Return the excursion as far as it has run; None where its first point is not known."""
        times, values = self._points.between(started_ms - context_ms(self._step_ms), until_ms)
        row = int(np.searchsorted(times, started_ms))
        if row == len(times) or int(times[row]) != started_ms:
            return None
        zone = ZoneInfo("UTC") if self._in_reach is None else self._in_reach.zone
        return Excursion.at(
            row,
            self._step_ms,
            times,
            values,
            lower,
            upper,
            evidence,
            alert,
            *local_time(started_ms, zone),
            last_over_ms=last_over_ms,
        )

    def _judged_at(self, time_ms: int) -> JudgedBefore | None:
        """Return the anomaly that was recorded at this time before, where one was."""
        return next(
            (one for one in self._judged_before if one.first_ms <= time_ms <= one.last_ms), None
        )


def _has_returned(current: Excursion, pattern: Excursion) -> bool:
    """Return whether the newest points are back, but for little, in the range that was left.

    The level of a metric moves on while an excursion lasts for hours.
    """
    newest = current.values[current.context :][-CALM_POINTS:]
    little = RETURNED_SHARE * pattern.height
    farthest = float(np.abs(excess_of(newest, current.lower, current.upper)).max(initial=0.0))
    return len(newest) == CALM_POINTS and farthest <= little


def _has_ended(current: Excursion) -> bool:
    """Return whether an excursion had ended before its last point, which may begin another one."""
    return current.is_complete or len(current.values) - current.context > MOST_POINTS
