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

`benchmarks/learning.py` measures the rules with the constants below, and found them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.detection.band import BAND_SCALES, DAY_SECONDS
from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CONTEXT, Excursion, excess_of
from anomify.detection.similarity import (
    UNRELATED,
    area_percent_diff,
    motif_distances,
    on_grid,
    shape_distances,
)
from anomify.series import Bools, Float64s, Int64s

HEIGHT_SHARE: Final = 0.10
"""An excursion may be so much higher than its pattern, and by the noise of the metric."""

MOST_DEVIATION_SHARE: Final = 0.25
"""But not by more than this share of the pattern's distance from the middle of the range."""

QUIETER: Final = 0.5
"""A range less than half as wide as the pattern's lowers the height that is allowed, with it."""

LENGTH_SHARE: Final = 0.10
LENGTH_STEPS: Final = 2
"""An excursion may last so much longer than its pattern: a share and some steps."""

MINUTES_APART: Final = 45.0
"""At most so many minutes apart, two times of the day are the same."""

SHAPE_DISTANCE: Final = 0.9
"""The most that the shapes of an excursion and of its pattern may differ."""

MOTIF_DISTANCE: Final = 0.5
"""The same for a part of a pattern that is neither aligned at the onset nor by the clock."""

ALERT_SLACK: Final = 0.5
"""The alert of what is usual may be so much higher than that of a pattern."""

FREE_TIMES: Final = 3
"""Patterns at so many different times of the day explain at any time of the day."""

WEAK_ALERT: Final = 6.5
"""An alert up to this is weak: one pattern explains it at any time of the day."""

CONTRARY_SLACK: Final = 3.0
"""An unexpected excursion contradicts if its alert is at most so much higher."""

CONTRARY_DISTANCE: Final = 0.8
"""And if its shape differs by no more than this."""

CONTRARY_SHARE: Final = 0.75
"""What is usual is contradicted by more than so many unexpected excursions for each pattern."""

CONTRARY_SHARE_AT_TIME: Final = 1.0
"""So is what a pattern explains at its time of the day, by more of them."""

MINUTES_OF_DISTANCE: Final = 60.0
"""So many minutes apart count as much as a distance of 1, where the nearest label is asked for."""

SHAPE_POINTS: Final = 300
"""Shapes are compared up to so many points after the onset; size and length without an end."""

CONTEXT_OF_LENGTH: Final = 2
"""Of the points before the onset, so many are compared for each point since."""

LEAST_CONTEXT: Final = 10
"""But at least so many."""

_NOISE_SHARE: Final = 0.5 / BAND_SCALES  # of the width of the expected range
_LEAST_STEPS: Final = 10  # before the onset, to know the noise from
_MOST_MOTIFS: Final = 50  # patterns of which parts are searched
_MOTIF_CONTEXT: Final = 40  # of the points before the onset that a part begins with


class MismatchReason(StrEnum):
    """Why a pattern does not explain an excursion."""

    LARGER = "larger"
    LONGER = "longer"
    OTHER_DIRECTION = "other_direction"
    OTHER_TIME = "other_time"
    OTHER_SHAPE = "other_shape"
    LIKE_UNEXPECTED = "like_unexpected"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a pattern does not explain an excursion, with the two numbers that decide.

    `current` is the excursion's and `allowed` the most that the pattern explains: a height in the
    metric's unit (LARGER, OTHER_DIRECTION), milliseconds (LONGER), minutes (OTHER_TIME), a distance
    of shapes (OTHER_SHAPE), or a number of unexpected excursions (LIKE_UNEXPECTED).
    """

    reason: MismatchReason
    current: float
    allowed: float


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
        self._expected = _Labelled(expected)
        self._unexpected = _Labelled(unexpected)

    def __len__(self) -> int:
        """Return the number of expected patterns."""
        return len(self._expected.excursions)

    def explain(self, current: Excursion) -> Explanation | None:
        """Return what explains the excursion as far as it has run, the nearest one; else None.

        An excursion that itself is one of the patterns, called expected while it ran, is explained
        as long as it does not become larger, however long it lasts.
        """
        now = _Current(current)
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
        now = _Current(current)
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

    def _compare(self, now: "_Current") -> "_Compared":
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
        self, kind: str, compared: "_Compared", place: int, now: "_Current"
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
            height_ratio=_ratio(max(now.heights), float(self._expected.heights[index])),
            length_ratio=now.length / max(float(self._expected.lengths[index]), pattern.step_ms),
            minutes_apart=float(compared.apart[place]),
            motif_index=first,
            motif_size=last - first,
            area_percent_diff=area_percent_diff(
                excess_of(now.shape, now.lower, now.upper),
                excess_of(
                    _points_on_grid(pattern, now.step_ms)[max(shift, 0) : len(now.shape) + shift],
                    pattern.lower,
                    pattern.upper,
                ),
            ),
        )


class _Current:
    """The excursion that is to be explained, measured once."""

    def __init__(self, excursion: Excursion) -> None:
        self.heights = np.array(excursion.heights)
        self.swings = np.array(excursion.swings)
        self.moves = np.array(excursion.moves)
        self.length = excursion.length_ms
        self.side = excursion.side
        self.alert = excursion.alert
        self.is_flat = _is_flat(excursion)
        self.seconds = excursion.local_seconds
        self.step_ms = excursion.step_ms
        self.started_ms = excursion.started_ms
        self.lower, self.upper = excursion.lower, excursion.upper
        self.width = _width(excursion)
        self.noise = _noise(excursion)
        self.onset = np.array(_onset(excursion))
        self.shape = _points_on_grid(excursion, excursion.step_ms)
        ran = len(self.shape) - CONTEXT
        self.compared_context = min(max(CONTEXT_OF_LENGTH * ran, LEAST_CONTEXT), CONTEXT)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Per pattern the part that is most alike, if one is: infinitely far away if none is.

    `shifts` says by how many steps it is later than the pattern's onset, and `contexts` how many
    points before the excursion's onset were compared.
    """

    distances: Float64s
    shifts: Int64s
    contexts: Int64s

    def and_those(self, other: "_Parts") -> "_Parts":
        """Return these parts and then the other ones."""
        return _Parts(
            np.concatenate((self.distances, other.distances)),
            np.concatenate((self.shifts, other.shifts)),
            np.concatenate((self.contexts, other.contexts)),
        )


class _Labelled:
    """Excursions with the same label, a row each."""

    def __init__(self, excursions: Sequence[Excursion]) -> None:
        self.excursions = tuple(excursions)
        heights = np.array([one.heights for one in excursions]).reshape(-1, 2)
        steps = np.array([one.step_ms for one in excursions], np.float64)
        self.widths = np.array([_width(one) for one in excursions], np.float64)
        self.noises = np.array([_noise(one) for one in excursions], np.float64)
        self.heights = heights.max(axis=1, initial=0.0)
        self.height_limits = self._limits(heights)
        self.deviation_limits = self._limits(np.array([_deviations(one) for one in excursions]))
        self.swing_limits = self._limits(np.array([one.swings for one in excursions]))
        self.move_limits = self._limits(np.array([one.moves for one in excursions]))
        self.lengths = np.array([one.length_ms for one in excursions], np.float64)
        leads = np.array([one.lead_ms for one in excursions], np.float64)
        self.length_limits = (self.lengths + leads) * (1.0 + LENGTH_SHARE) + LENGTH_STEPS * steps
        self.sides = np.array([one.side for one in excursions], np.int64)
        self.are_flat = np.array([_is_flat(one) for one in excursions], np.bool_)
        self.alerts = np.array([one.alert for one in excursions], np.float64)
        self.seconds = np.array([one.local_seconds for one in excursions], np.float64)
        self.started = np.array([one.started_ms for one in excursions], np.int64)
        self.onsets = np.array([_onset(one) for one in excursions]).reshape(-1, 4)
        self._grids: dict[int, Float64s] = {}

    def _limits(self, sizes: Float64s) -> Float64s:
        """Return how far an excursion may go to each side, for the sizes (n, 2) of the patterns."""
        sizes = sizes.reshape(-1, 2)
        noise = _NOISE_SHARE * self.widths[:, None]
        deviations = sizes.max(axis=1, initial=0.0)[:, None] + 0.5 * self.widths[:, None]
        slack = np.minimum(HEIGHT_SHARE * sizes + noise, MOST_DEVIATION_SHARE * deviations)
        limits: Float64s = sizes + slack
        return limits

    def are_same(self, now: _Current) -> Bools:
        """Return which of them are the excursion itself, as far as it had run."""
        same: Bools = (self.started == now.started_ms) & (self.onsets == now.onset).all(axis=1)
        return same

    def admits(self, now: _Current) -> Bools:
        """Return which of them the excursion does not exceed in size and length."""
        admitted: Bools = (
            (self.sides == now.side)
            & (now.heights <= self._allowed(now)).all(axis=1)
            & ((now.length <= self.length_limits) | self.are_same(now))
            & (self._admits_swings(now) | self.are_same(now))
            & (self.are_flat | (not now.is_flat))
        )
        return admitted

    def exceeded(self, row: int, now: _Current) -> Mismatch | None:
        """Return the first limit of one of them that the excursion exceeds; None for none."""
        allowed = self._allowed(now)[row]
        is_too_high = now.heights > allowed
        if self.sides[row] != now.side:
            height = float(now.heights.max())
            return Mismatch(MismatchReason.OTHER_DIRECTION, height, 0.0)
        if is_too_high.any():
            side = int(np.argmax(now.heights - allowed))
            is_other = float(self.excursions[row].heights[side]) == 0.0
            reason = MismatchReason.OTHER_DIRECTION if is_other else MismatchReason.LARGER
            return Mismatch(reason, float(now.heights[side]), float(allowed[side]))
        if now.length > self.length_limits[row] and not self.are_same(now)[row]:
            return Mismatch(MismatchReason.LONGER, now.length, float(self.length_limits[row]))
        return None

    def distances(self, now: _Current, rows: Int64s) -> Float64s:
        """Return the distances of the shapes of these rows, aligned at the onsets."""
        if not len(rows):
            return np.empty(0)
        skipped = CONTEXT - now.compared_context
        grid = self._grid(now.step_ms)[rows, skipped : len(now.shape)]
        missing = len(now.shape) - skipped - grid.shape[1]
        grid = np.pad(grid, ((0, 0), (0, missing)), constant_values=np.nan)
        return shape_distances(now.shape[skipped:], grid, now.noise, self.noises[rows])

    def parts(self, now: _Current, rows: Int64s, is_wanted: Bools) -> _Parts:
        """Return the parts of these rows that are most like the excursion and its last context.

        Tried are the part at the same time of the day, where the excursion was found earlier or
        later than the pattern, and the part that a search over all of the pattern finds.
        """
        count = len(rows)
        found = _Parts(np.full(count, np.inf), np.zeros(count, np.int64), np.zeros(count, np.int64))
        later = seconds_later(now.seconds, self.seconds)
        context, ran = now.compared_context, len(now.shape) - CONTEXT
        query = now.shape[CONTEXT - context :]
        for place in np.flatnonzero(is_wanted)[-_MOST_MOTIFS:].tolist():
            row = int(rows[place])
            points = _points_on_grid(self.excursions[row], now.step_ms)
            shift = round(later[row] * 1000.0 / now.step_ms)
            part = _part(points, CONTEXT - context + shift, context + ran)
            # A stretch without a shape is like everything before the pattern's onset.
            candidates = np.array([part, np.zeros(context + ran)])
            noises = np.array([self.noises[row], 0.0])
            distance, flatness = shape_distances(query, candidates, now.noise, noises)
            if flatness > 0.0 and distance <= SHAPE_DISTANCE:
                found.distances[place], found.shifts[place] = distance, shift
                found.contexts[place] = context
            searched = motif_distances(now.shape[CONTEXT - _MOTIF_CONTEXT :], points)
            distance = searched.min(initial=np.inf)
            if distance <= MOTIF_DISTANCE and distance < found.distances[place]:
                found.distances[place], found.contexts[place] = distance, _MOTIF_CONTEXT
                found.shifts[place] = int(np.argmin(searched)) - (CONTEXT - _MOTIF_CONTEXT)
        return found

    def ends(self, now: _Current) -> tuple[Int64s, _Parts, Float64s]:
        """Return the rows of which the excursion is like the end, their ends and the minutes apart.

        Where the engine has learnt what it is to see from a pattern's onset on, its end is a step
        back within the expected range, to the other side. It may be no larger than the pattern, and
        is compared with the pattern's last points and, after them, the level before its onset.
        """
        apart = (seconds_later(now.seconds, self.seconds) - self.lengths / 1000.0) / 60.0
        nearest = np.minimum(MINUTES_APART, 0.5 * self.lengths / 60_000.0)
        swings_back = self._shrunk(self.swing_limits, now)[:, ::-1]
        is_end: Bools = (
            (now.heights.max() == 0.0)
            & (self.heights > 0.0)
            & (self.sides == -now.side)
            & (np.abs(apart) <= nearest)
            & (now.swings <= swings_back).all(axis=1)
            & (now.length <= self.length_limits)
        )
        rows = np.flatnonzero(is_end)[-_MOST_MOTIFS:]
        count, context = len(rows), now.compared_context
        found = _Parts(np.full(count, np.inf), np.zeros(count, np.int64), np.full(count, context))
        ran = len(now.shape) - CONTEXT
        for place, row in enumerate(rows.tolist()):
            pattern = self.excursions[row]
            after = round(self.lengths[row] / now.step_ms) + 1
            points = _points_on_grid(pattern, now.step_ms)[: CONTEXT + after]
            points = np.concatenate((points, np.full(ran, pattern.level)))
            part = _part(points, CONTEXT + after - context, context + ran)
            query = now.shape[CONTEXT - context :]
            distance = shape_distances(query, part[None], now.noise, self.noises[row : row + 1])[0]
            if distance <= SHAPE_DISTANCE:
                found.distances[place], found.shifts[place] = distance, after
        return rows, found, np.abs(apart[rows])

    def minutes_apart(self, now: _Current, rows: Int64s) -> Float64s:
        """Return how many minutes the times of the day of these rows are from the excursion's."""
        return seconds_apart(self.seconds[rows], now.seconds) / 60.0

    def _admits_swings(self, now: _Current) -> Bools:
        """Return which of them the values of an excursion within its range do not exceed.

        From the value before, or from the level before: an excursion that is found late begins
        after its first step.
        """
        if now.heights.max() > 0.0:
            return np.ones(len(self.excursions), np.bool_)
        swung_up, swung_down = (now.swings <= self._shrunk(self.swing_limits, now)).T
        moved_up, moved_down = (now.moves <= self._shrunk(self.move_limits, now)).T
        admitted: Bools = (swung_up & swung_down) | (moved_up & moved_down)
        return admitted

    def _allowed(self, now: _Current) -> Float64s:
        """Return how far outside of its range the excursion may go to each side, for each row.

        As far as the pattern went outside of its own range, or as far from the middle: the range
        may have become narrower since.
        """
        farthest = self._shrunk(self.deviation_limits, now) - 0.5 * now.width
        allowed: Float64s = np.maximum(self._shrunk(self.height_limits, now), farthest)
        return allowed

    def _shrunk(self, limits: Float64s, now: _Current) -> Float64s:
        """Return the limits, lowered where the metric is much quieter now than it was then."""
        known = np.where(self.widths > 0.0, self.widths, 1.0)
        share = np.where(self.widths > 0.0, now.width / known / QUIETER, 1.0)
        shrunk: Float64s = limits * np.minimum(share, 1.0)[:, None]
        return shrunk

    def _grid(self, step_ms: int) -> Float64s:
        """Return the points of all on a grid of this step, NaN beyond their ends."""
        if step_ms not in self._grids:
            rows = [_points_on_grid(one, step_ms) for one in self.excursions]
            grid = np.full((len(rows), max(map(len, rows))), np.nan)
            for place, row in enumerate(rows):
                grid[place, : len(row)] = row
            # The steps of a metric are few; those of a whole family are not kept.
            self._grids = {step_ms: grid}
        return self._grids[step_ms]


@dataclass(frozen=True, slots=True)
class _Compared:
    """The patterns whose limits an excursion does not exceed, a row each, compared with it."""

    now: _Current
    rows: Int64s
    is_own: Bools  # the excursion is this pattern
    distances: Float64s
    apart: Float64s  # minutes
    parts: _Parts
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


def seconds_apart(many: Float64s, one: float) -> Float64s:
    """Return how far each of many times of the day is from one, at most half a day."""
    apart = np.abs(many - one) % DAY_SECONDS
    nearer: Float64s = np.minimum(apart, DAY_SECONDS - apart)
    return nearer


def seconds_later(one: float, others: Float64s) -> Float64s:
    """Return by how much a time of the day is later than others, from minus to plus half a day.

    >>> seconds_later(600.0, np.array([86_100.0, 1_500.0])).tolist()
    [900.0, -900.0]
    """
    half = DAY_SECONDS / 2
    later: Float64s = (one - others + half) % DAY_SECONDS - half
    return later


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


def _onset(excursion: Excursion) -> tuple[float, float, float, float]:
    """Return what tells two excursions apart that begin at the same time."""
    value = float(excursion.values[excursion.context])
    return excursion.lower, excursion.upper, value, float(excursion.local_seconds)


def _is_flat(excursion: Excursion) -> bool:
    """Return whether an excursion is a value that repeats for too long, within its range."""
    return excursion.evidence is Evidence.FLAT and excursion.height == 0.0


def _width(excursion: Excursion) -> float:
    """Return the width of the range that was left; 0 if it has none."""
    width = excursion.upper - excursion.lower
    return max(width, 0.0) if np.isfinite(width) else 0.0


def _deviations(excursion: Excursion) -> tuple[float, float]:
    """Return how far the values go above and below the middle of the range, both >= 0.

    0 for a side to which no value lies outside of the range.
    """
    half = 0.5 * _width(excursion)
    up, down = excursion.heights
    return up + half if up > 0.0 else 0.0, down + half if down > 0.0 else 0.0


def _noise(excursion: Excursion) -> float:
    """Return the standard deviation of the metric's noise, as its range or its points suggest.

    The smaller one: the range is wide also where the metric often leaves it, and the differences of
    successive points before the onset are large also where it moves fast.
    """
    noise = _NOISE_SHARE * _width(excursion)
    before = excursion.values[: excursion.context]
    steps = np.abs(np.diff(before[np.isfinite(before)]))
    if len(steps) < _LEAST_STEPS:
        return noise
    # The median of the sizes of normal deviations is 0.6745 of the standard deviation.
    return min(noise, float(np.median(steps)) / 0.6745 / math.sqrt(2.0))


def _ratio(part: float, whole: float) -> float:
    if whole > 0.0:
        return part / whole
    return 1.0 if part == 0.0 else float("inf")


def _part(points: Float64s, begin: int, size: int) -> Float64s:
    """Return so many points from a row on, which may be negative; NaN beyond the ends."""
    part = np.full(size, np.nan)
    first, last = max(begin, 0), min(begin + size, len(points))
    if first < last:
        part[first - begin : last - begin] = points[first:last]
    return part


def _points_on_grid(excursion: Excursion, step_ms: int) -> Float64s:
    """Return `CONTEXT` values before the onset, that at the onset, and those that follow."""
    ran = int(excursion.times[-1] - excursion.started_ms) // step_ms
    begin = excursion.started_ms - CONTEXT * step_ms
    count = CONTEXT + 1 + min(ran, SHAPE_POINTS)
    return on_grid(excursion.times, excursion.values, begin, step_ms, count)
