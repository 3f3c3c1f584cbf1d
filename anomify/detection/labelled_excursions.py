"""Labelled excursions as arrays, a row each, and how far another excursion is from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomify.detection.band import DAY_SECONDS
from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CONTEXT, Excursion
from anomify.detection.mismatch import Mismatch, MismatchReason
from anomify.detection.pattern_limits import (
    CONTEXT_OF_LENGTH,
    HEIGHT_SHARE,
    LEAST_CONTEXT,
    LEAST_STEPS,
    LENGTH_SHARE,
    LENGTH_STEPS,
    MINUTES_APART,
    MOST_DEVIATION_SHARE,
    MOST_MOTIFS,
    MOTIF_CONTEXT,
    MOTIF_DISTANCE,
    NOISE_SHARE,
    QUIETER,
    SHAPE_DISTANCE,
    SHAPE_POINTS,
)
from anomify.detection.similarity import motif_distances, on_grid, shape_distances
from anomify.series import Bools, Float64s, Int64s


class Current:
    """The excursion that is to be explained, measured once."""

    def __init__(self, excursion: Excursion) -> None:
        """Measure an excursion."""
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
        self.shape = points_on_grid(excursion, excursion.step_ms)
        ran = len(self.shape) - CONTEXT
        self.compared_context = min(max(CONTEXT_OF_LENGTH * ran, LEAST_CONTEXT), CONTEXT)


@dataclass(frozen=True, slots=True)
class Parts:
    """Per pattern the part that is most alike, if one is: infinitely far away if none is.

    `shifts` says by how many steps it is later than the pattern's onset, and `contexts` how many
    points before the excursion's onset were compared.
    """

    distances: Float64s
    shifts: Int64s
    contexts: Int64s

    def and_those(self, other: "Parts") -> "Parts":
        """Return these parts and then the other ones."""
        return Parts(
            np.concatenate((self.distances, other.distances)),
            np.concatenate((self.shifts, other.shifts)),
            np.concatenate((self.contexts, other.contexts)),
        )


class Labelled:
    """Excursions with the same label, a row each."""

    def __init__(self, excursions: Sequence[Excursion]) -> None:
        """Measure the excursions; they do not change afterwards."""
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
        noise = NOISE_SHARE * self.widths[:, None]
        deviations = sizes.max(axis=1, initial=0.0)[:, None] + 0.5 * self.widths[:, None]
        slack = np.minimum(HEIGHT_SHARE * sizes + noise, MOST_DEVIATION_SHARE * deviations)
        limits: Float64s = sizes + slack
        return limits

    def are_same(self, now: Current) -> Bools:
        """Return which of them are the excursion itself, as far as it had run."""
        same: Bools = (self.started == now.started_ms) & (self.onsets == now.onset).all(axis=1)
        return same

    def admits(self, now: Current) -> Bools:
        """Return which of them the excursion does not exceed in size and length."""
        admitted: Bools = (
            (self.sides == now.side)
            & (now.heights <= self._allowed(now)).all(axis=1)
            & ((now.length <= self.length_limits) | self.are_same(now))
            & (self._admits_swings(now) | self.are_same(now))
            & (self.are_flat | (not now.is_flat))
        )
        return admitted

    def exceeded(self, row: int, now: Current) -> Mismatch | None:
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

    def distances(self, now: Current, rows: Int64s) -> Float64s:
        """Return the distances of the shapes of these rows, aligned at the onsets."""
        if not len(rows):
            return np.empty(0)
        skipped = CONTEXT - now.compared_context
        grid = self._grid(now.step_ms)[rows, skipped : len(now.shape)]
        missing = len(now.shape) - skipped - grid.shape[1]
        grid = np.pad(grid, ((0, 0), (0, missing)), constant_values=np.nan)
        return shape_distances(now.shape[skipped:], grid, now.noise, self.noises[rows])

    def parts(self, now: Current, rows: Int64s, is_wanted: Bools) -> Parts:
        """Return the parts of these rows that are most like the excursion and its last context.

        Tried are the part at the same time of the day, where the excursion was found earlier or
        later than the pattern, and the part that a search over all of the pattern finds.
        """
        count = len(rows)
        found = Parts(np.full(count, np.inf), np.zeros(count, np.int64), np.zeros(count, np.int64))
        later = seconds_later(now.seconds, self.seconds)
        context, ran = now.compared_context, len(now.shape) - CONTEXT
        query = now.shape[CONTEXT - context :]
        for place in np.flatnonzero(is_wanted)[-MOST_MOTIFS:].tolist():
            row = int(rows[place])
            points = points_on_grid(self.excursions[row], now.step_ms)
            shift = round(later[row] * 1000.0 / now.step_ms)
            part = part_of(points, CONTEXT - context + shift, context + ran)
            # A stretch without a shape is like everything before the pattern's onset.
            candidates = np.array([part, np.zeros(context + ran)])
            noises = np.array([self.noises[row], 0.0])
            distance, flatness = shape_distances(query, candidates, now.noise, noises)
            if flatness > 0.0 and distance <= SHAPE_DISTANCE:
                found.distances[place], found.shifts[place] = distance, shift
                found.contexts[place] = context
            searched = motif_distances(now.shape[CONTEXT - MOTIF_CONTEXT :], points)
            distance = searched.min(initial=np.inf)
            if distance <= MOTIF_DISTANCE and distance < found.distances[place]:
                found.distances[place], found.contexts[place] = distance, MOTIF_CONTEXT
                found.shifts[place] = int(np.argmin(searched)) - (CONTEXT - MOTIF_CONTEXT)
        return found

    def ends(self, now: Current) -> tuple[Int64s, Parts, Float64s]:
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
        rows = np.flatnonzero(is_end)[-MOST_MOTIFS:]
        count, context = len(rows), now.compared_context
        found = Parts(np.full(count, np.inf), np.zeros(count, np.int64), np.full(count, context))
        ran = len(now.shape) - CONTEXT
        for place, row in enumerate(rows.tolist()):
            pattern = self.excursions[row]
            after = round(self.lengths[row] / now.step_ms) + 1
            points = points_on_grid(pattern, now.step_ms)[: CONTEXT + after]
            points = np.concatenate((points, np.full(ran, pattern.level)))
            part = part_of(points, CONTEXT + after - context, context + ran)
            query = now.shape[CONTEXT - context :]
            distance = shape_distances(query, part[None], now.noise, self.noises[row : row + 1])[0]
            if distance <= SHAPE_DISTANCE:
                found.distances[place], found.shifts[place] = distance, after
        return rows, found, np.abs(apart[rows])

    def minutes_apart(self, now: Current, rows: Int64s) -> Float64s:
        """Return how many minutes the times of the day of these rows are from the excursion's."""
        return seconds_apart(self.seconds[rows], now.seconds) / 60.0

    def _admits_swings(self, now: Current) -> Bools:
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

    def _allowed(self, now: Current) -> Float64s:
        """Return how far outside of its range the excursion may go to each side, for each row.

        As far as the pattern went outside of its own range, or as far from the middle: the range
        may have become narrower since.
        """
        farthest = self._shrunk(self.deviation_limits, now) - 0.5 * now.width
        allowed: Float64s = np.maximum(self._shrunk(self.height_limits, now), farthest)
        return allowed

    def _shrunk(self, limits: Float64s, now: Current) -> Float64s:
        """Return the limits, lowered where the metric is much quieter now than it was then."""
        known = np.where(self.widths > 0.0, self.widths, 1.0)
        share = np.where(self.widths > 0.0, now.width / known / QUIETER, 1.0)
        shrunk: Float64s = limits * np.minimum(share, 1.0)[:, None]
        return shrunk

    def _grid(self, step_ms: int) -> Float64s:
        """Return the points of all on a grid of this step, NaN beyond their ends."""
        if step_ms not in self._grids:
            rows = [points_on_grid(one, step_ms) for one in self.excursions]
            grid = np.full((len(rows), max(map(len, rows))), np.nan)
            for place, row in enumerate(rows):
                grid[place, : len(row)] = row
            # The steps of a metric are few; those of a whole family are not kept.
            self._grids = {step_ms: grid}
        return self._grids[step_ms]


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


def _onset(excursion: Excursion) -> tuple[float, float, float, float]:
    """Return what tells two excursions apart that begin at the same time."""
    value = float(excursion.values[excursion.context])
    return excursion.lower, excursion.upper, value, float(excursion.local_seconds)


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
    noise = NOISE_SHARE * _width(excursion)
    before = excursion.values[: excursion.context]
    steps = np.abs(np.diff(before[np.isfinite(before)]))
    if len(steps) < LEAST_STEPS:
        return noise
    # The median of the sizes of normal deviations is 0.6745 of the standard deviation.
    return min(noise, float(np.median(steps)) / 0.6745 / math.sqrt(2.0))


def _is_flat(excursion: Excursion) -> bool:
    """Return whether an excursion is a value that repeats for too long, within its range."""
    return excursion.evidence is Evidence.FLAT and excursion.height == 0.0


def _width(excursion: Excursion) -> float:
    """Return the width of the range that was left; 0 if it has none."""
    width = excursion.upper - excursion.lower
    return max(width, 0.0) if np.isfinite(width) else 0.0


def part_of(points: Float64s, begin: int, size: int) -> Float64s:
    """Return so many points from a row on, which may be negative; NaN beyond the ends."""
    part = np.full(size, np.nan)
    first, last = max(begin, 0), min(begin + size, len(points))
    if first < last:
        part[first - begin : last - begin] = points[first:last]
    return part


def points_on_grid(excursion: Excursion, step_ms: int) -> Float64s:
    """Return `CONTEXT` values before the onset, that at the onset, and those that follow."""
    ran = int(excursion.times[-1] - excursion.started_ms) // step_ms
    begin = excursion.started_ms - CONTEXT * step_ms
    count = CONTEXT + 1 + min(ran, SHAPE_POINTS)
    return on_grid(excursion.times, excursion.values, begin, step_ms, count)
