"""Decides whether an excursion is explained by one that a person has called expected.

Never explained is what goes farther to a side than the pattern, lasts longer, or begins to the
other side; nor a value that repeats for too long by anything else. Of what is left, a pattern
explains

- its like at its time of the day, by shape, or by a part of its shape if it was found later or
  earlier;
- its end at the time of the day at which it ends;
- at any time of the day, what is usual: weak excursions, and all of which as strong ones have been
  called expected at several times of the day.

Unexpected excursions contradict: the nearer label decides, and where there are many unexpected
ones as strong, to the same side and of like shape, nothing is explained.

`benchmarks/learning.py` measures the rules, and found the limits in `pattern_limits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomify.detection.excursion import CONTEXT, Excursion, excess_of
from anomify.detection.labelled_excursions import (
    Current,
    Labelled,
    Parts,
    part_of,
    points_on_grid,
    seconds_apart,
)
from anomify.detection.mismatch import Mismatch, MismatchReason
from anomify.detection.pattern_limits import (
    ALERT_SLACK,
    CONTRARY_DISTANCE,
    CONTRARY_SHARE,
    CONTRARY_SHARE_AT_TIME,
    CONTRARY_SLACK,
    FREE_TIMES,
    MINUTES_APART,
    MINUTES_OF_DISTANCE,
    SHAPE_DISTANCE,
    WEAK_ALERT,
)
from anomify.detection.similarity import UNRELATED, area_percent_diff
from anomify.series import Bools, Float64s, Int64s


@dataclass(frozen=True, slots=True)
class Explanation:
    """The pattern that explains an excursion, and how much they are alike.

    `index` is its place in the expected patterns. `kind` is "shape", "motif" or "usual".
    `distance` is that of the shapes and `similarity` the same for people, 0 to 100.
    `height_ratio` and `length_ratio` are the excursion's height and length so far by the pattern's,
    `minutes_apart` how far the times of the day of their onsets are apart. `motif_index` and
    `motif_size` are the rows of the pattern's points that were compared, and `area_percent_diff`
    is the difference of the areas outside of the range over them, in percent of the larger.
    """

    index: int
    kind: str
    distance: float
    similarity: float
    height_ratio: float
    length_ratio: float
    minutes_apart: float
    motif_index: int
    motif_size: int
    area_percent_diff: float


class Patterns:
    """The excursions that people have called expected or unexpected, to be asked often."""

    def __init__(self, expected: Sequence[Excursion], unexpected: Sequence[Excursion] = ()) -> None:
        """Prepare the patterns; they do not change afterwards."""
        self._expected = Labelled(expected)
        self._unexpected = Labelled(unexpected)

    def with_unexpected(self, unexpected: Sequence[Excursion]) -> "Patterns":
        """Return the same expected patterns, prepared once, with other unexpected excursions."""
        patterns = Patterns((), unexpected)
        patterns._expected = self._expected
        return patterns

    def __len__(self) -> int:
        """Return the number of expected patterns."""
        return len(self._expected.excursions)

    def explain(self, current: Excursion) -> Explanation | None:
        """Return what explains the excursion as far as it has run, the nearest one; else None.

        An excursion that itself is one of the patterns, called expected while it ran, is explained
        as long as it does not become larger, however long it lasts.
        """
        now = Current(current)
        compared = self._compare(now)
        for kind, explains in compared.by_kind():
            if explains.any():
                place = int(np.argmin(np.where(explains, compared.nearness, np.inf)))
                return self._explanation(kind, compared, place, now)
        return None

    def mismatch(self, index: int, current: Excursion) -> Mismatch | None:
        """Return why that expected pattern does not explain the excursion; None if it does.

        The first reason in this order: direction, size, length, unexpected excursions that
        contradict, time of day, shape.
        """
        now = Current(current)
        compared = self._compare(now)
        places = np.flatnonzero(compared.rows == index).tolist()
        if any(explains[place] for _, explains in compared.by_kind() for place in places):
            return None
        exceeded = self._expected.exceeded(index, now)
        if exceeded is not None:
            return exceeded
        if not places:
            return Mismatch(MismatchReason.OTHER_SHAPE, UNRELATED, SHAPE_DISTANCE)
        return compared.mismatch(places[0])

    def _compare(self, now: "Current") -> "_Compared":
        """Compare the excursion with the patterns whose limits it does not exceed."""
        group, others = self._expected, self._unexpected
        rows = np.flatnonzero(group.admits(now))
        distances, apart = group.distances(now, rows), group.minutes_apart(now, rows)
        parts = group.parts(now, rows, (apart <= MINUTES_APART) & (distances > SHAPE_DISTANCE))
        is_own = group.are_same(now)[rows]
        ending, ends, ends_apart = group.ends(now)
        contrary = np.flatnonzero(
            (others.sides == now.side) & (others.alerts <= now.alert + CONTRARY_SLACK)
        )
        far, far_apart = others.distances(now, contrary), others.minutes_apart(now, contrary)
        none = np.full(len(ending), np.inf)
        return _Compared(
            now=now,
            rows=np.concatenate((rows, ending)),
            is_own=np.concatenate((is_own, np.zeros(len(ending), np.bool_))),
            distances=np.concatenate((np.where(is_own, 0.0, distances), none)),
            apart=np.concatenate((apart, ends_apart)),
            parts=parts.and_those(ends),
            alerts=np.concatenate((group.alerts[rows], -none)),
            seconds=np.concatenate((group.seconds[rows], group.seconds[ending])),
            contrary=int((far <= CONTRARY_DISTANCE).sum()),
            contrary_nearness=float(_nearness(far, far_apart).min(initial=np.inf)),
            is_unexpected=bool(others.are_same(now).any()),
        )

    def _explanation(
        self, kind: str, compared: "_Compared", place: int, now: "Current"
    ) -> Explanation:
        index = int(compared.rows[place])
        pattern = self._expected.excursions[index]
        is_part = kind == "motif"
        distance = float((compared.parts.distances if is_part else compared.distances)[place])
        shift = int(compared.parts.shifts[place]) if is_part else 0
        # The rows of the pattern's points that lie on the compared part of the grid.
        ran = len(now.shape) - CONTEXT
        before = int(compared.parts.contexts[place]) if is_part else now.compared_context
        begin = pattern.started_ms + (shift - before) * now.step_ms
        end = pattern.started_ms + (shift + ran) * now.step_ms
        first, last = np.searchsorted(pattern.times, (begin, end)).tolist()
        return Explanation(
            index=index,
            kind=kind,
            distance=distance,
            similarity=100.0 * max(0.0, 1.0 - distance / UNRELATED),
            height_ratio=_ratio(float(now.heights.max()), float(self._expected.heights[index])),
            length_ratio=now.length / max(float(self._expected.lengths[index]), pattern.step_ms),
            minutes_apart=float(compared.apart[place]),
            motif_index=first,
            motif_size=last - first,
            area_percent_diff=area_percent_diff(
                excess_of(now.shape[CONTEXT - before :], now.lower, now.upper),
                excess_of(
                    part_of(
                        points_on_grid(pattern, now.step_ms), CONTEXT - before + shift, before + ran
                    ),
                    pattern.lower,
                    pattern.upper,
                ),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Compared:
    """The patterns whose limits an excursion does not exceed, a row each, compared with it."""

    now: Current
    rows: Int64s
    is_own: Bools  # the excursion is this pattern
    distances: Float64s
    apart: Float64s  # minutes
    parts: Parts
    alerts: Float64s
    seconds: Float64s
    contrary: int  # unexpected excursions that contradict
    contrary_nearness: float  # of the nearest unexpected excursion
    is_unexpected: bool  # the excursion itself was called unexpected

    @property
    def nearness(self) -> Float64s:
        """Return how far the rows are from the excursion, by shape and time of the day."""
        return _nearness(np.minimum(self.distances, UNRELATED * 2), self.apart)

    def by_kind(self) -> list[tuple[str, Bools]]:
        """Return for each kind which of the rows explain the excursion, the first kind first."""
        none = np.zeros(len(self.rows), np.bool_)
        if self.is_unexpected:
            return [("shape", none)]
        at_time = none if self._is_outvoted(CONTRARY_SHARE_AT_TIME) else self._is_at_time()
        alike: Bools = (self.distances <= SHAPE_DISTANCE) & (self.nearness < self.contrary_nearness)
        part_nearness = _nearness(self.parts.distances, self.apart)
        part: Bools = part_nearness < self.contrary_nearness
        part &= np.isfinite(part_nearness)
        usual = none if self._is_outvoted(CONTRARY_SHARE) else self._is_usual()
        return [
            ("shape", (at_time & alike) | self.is_own),
            ("motif", at_time & part),
            ("usual", usual),
        ]

    def mismatch(self, place: int) -> Mismatch:
        """Return why a row that does not explain the excursion does not."""
        nearness = float(self.nearness[place])
        apart, distance = float(self.apart[place]), float(self.distances[place])
        is_near = apart <= MINUTES_APART and distance <= SHAPE_DISTANCE
        if self.is_unexpected or is_near or self._is_outvoted(CONTRARY_SHARE):
            return Mismatch(MismatchReason.LIKE_UNEXPECTED, nearness, self.contrary_nearness)
        if apart > MINUTES_APART:
            return Mismatch(MismatchReason.OTHER_TIME, apart, MINUTES_APART)
        return Mismatch(MismatchReason.OTHER_SHAPE, distance, SHAPE_DISTANCE)

    def _is_outvoted(self, share: float) -> bool:
        return self.contrary > share * len(self.rows)

    def _is_at_time(self) -> Bools:
        at_time: Bools = self.apart <= MINUTES_APART
        return at_time

    def _is_usual(self) -> Bools:
        """Return which rows are as strong, if those or the weakness make the time free."""
        as_strong: Bools = self.alerts >= self.now.alert - ALERT_SLACK
        is_free = (
            self.now.alert <= WEAK_ALERT or _times_of_day(self.seconds[as_strong]) >= FREE_TIMES
        )
        return as_strong & is_free


def minutes_apart(first_seconds: int, second_seconds: int) -> float:
    """Return how far two times of the day are apart, at most 720 minutes.

    >>> minutes_apart(86_100, 600)
    15.0
    """
    return float(seconds_apart(np.array([float(first_seconds)]), second_seconds)[0]) / 60.0


def _times_of_day(seconds: Float64s) -> int:
    """Return how many different times of the day there are, up to `FREE_TIMES`."""
    left, count = seconds, 0
    while len(left) and count < FREE_TIMES:
        left = left[seconds_apart(left, float(left[0])) > 60.0 * MINUTES_APART]
        count += 1
    return count


def _nearness(distances: Float64s, apart: Float64s) -> Float64s:
    nearness: Float64s = np.hypot(distances, apart / MINUTES_OF_DISTANCE)
    return nearness


def _ratio(part: float, whole: float) -> float:
    if whole > 0.0:
        return part / whole
    return 1.0 if part == 0.0 else float("inf")
