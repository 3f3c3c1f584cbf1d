"""A plain second implementation of what precedes judging: steps, kinds, gaps, learning."""

import itertools
import math

import numpy as np

from tests.detection.naive import NaiveGauge

USUAL_STEPS = [
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800, 3600),
    *(7200, 10800, 14400, 21600, 28800, 43200, 86400, 604800),
]
DAY = 86_400_000


def usual_step(distance):
    for step in USUAL_STEPS:
        if abs(distance - step * 1000) <= 0.02 * step * 1000:
            return step * 1000
    return max(1000, math.floor(distance / 1000 + 0.5) * 1000)


def lower_median(numbers):
    return sorted(numbers)[(len(numbers) - 1) // 2]


def rate(earlier, later, usual):
    """Return the rate of a counter between two points, None at a restart."""
    (time, value), (later_time, later_value) = earlier, later
    seconds = (later_time - time) / 1000
    increase = later_value - value
    if 0 <= later_value < 0.5 * value:
        increase += 2**32
        if not 0 < increase <= 4 * usual * seconds:
            return None
    return increase / seconds


class NaiveFeed:
    """All points of a metric, kept whole, and what has been found out about them so far."""

    def __init__(self, kind="auto", step=0):
        self.points = []
        self.newest_time = None
        self.gaps = []
        self.resolution = step
        self.has_set_step = step > 0
        self.off_step = 0
        self.trained_points = 0
        self.is_counter = kind == "counter"
        self.is_gauge = kind == "gauge"
        self.highest = 0.0
        self.rises = self.falls = self.moving_for = 0
        self.gauge = None
        self.has_restarted = False

    def see(self, time, value):
        """Take one point; return its verdict, None if it is not judged."""
        if not math.isfinite(value) or (self.newest_time is not None and time <= self.newest_time):
            return None
        self.newest_time = time
        if abs(value) > 1e100:
            return None
        was_counter = self.is_counter
        self.learn_kind(value)
        if self.is_counter != was_counter and self.trained_points:
            self.relearn()
        judged = self.judged_value(time, value)
        gap = (time - self.points[-1][0]) / 1000 if self.points else 0
        self.learn_step(time)
        self.points.append((time, value))
        if not self.trained_points:
            # The gaps at the end of learning may show that it takes longer.
            if len(self.points) >= self.needed():
                self.trained_points = len(self.points)
                self.relearn()
            return None
        if judged is None:
            return None
        self.gauge.change_step(self.resolution / 1000)
        return self.gauge.judge(time / 1000, judged, gap)

    def usual_rate(self):
        return self.gauge.previous + self.gauge.anchor if self.gauge else 0.0

    def judged_value(self, time, value):
        """Return the value as it is judged, None at the first of a counter's restarts in a row."""
        if not self.points or not self.is_counter:
            return value
        judged = rate(self.points[-1], (time, value), self.usual_rate())
        is_again = judged is None and self.has_restarted
        self.has_restarted = judged is None
        return value / ((time - self.points[-1][0]) / 1000) if is_again else judged

    def needed(self):
        return min(100, max(28, 28 * DAY // max(self.resolution, 1)))

    def relearn(self):
        self.gauge = NaiveGauge(self.resolution / 1000, self.points[0][0] / 1000)
        newest = self.points[-100:]
        if not self.is_counter:
            self.gauge.see(newest[0][0] / 1000, newest[0][1], 0)
        for earlier, later in itertools.pairwise(newest):
            gap = (later[0] - earlier[0]) / 1000
            judged = rate(earlier, later, self.usual_rate()) if self.is_counter else later[1]
            if judged is not None:
                self.gauge.see(later[0] / 1000, judged, gap)

    def learn_kind(self, value):
        if self.is_gauge or self.is_counter:
            return
        before = self.points[-1][1] if self.points else None
        if value < 0:
            self.is_gauge = True
            return
        if before is not None and value > before:
            self.rises += 1
        elif before is not None and value < before:
            self.falls += 1
            if value > 0.03 * self.highest:
                self.is_gauge = True
                return
        self.highest = max(self.highest, value)
        self.moving_for += self.rises > 0
        if self.moving_for < 90 or len(self.points) + 1 < 100:
            return
        if self.falls > 1 + self.rises // 10:
            self.is_gauge = True
        elif self.rises >= 10 and self.falls * 10 <= self.rises:
            self.is_counter = True

    def learn_step(self, time):
        if self.points:
            self.gaps.append(time - self.points[-1][0])
        if self.has_set_step or not self.gaps:
            return
        count = len(self.gaps) + 1
        if count <= 16 or (not self.trained_points and count >= self.needed()):
            self.resolution = usual_step(lower_median(self.gaps[-99:]))
        elif self.trained_points:
            if abs(self.gaps[-1] - self.resolution) > 0.25 * self.resolution:
                self.off_step += 1
            else:
                self.off_step = max(self.off_step - 1, 0)
            if self.off_step >= 16:
                self.off_step = 0
                self.resolution = usual_step(lower_median(self.gaps[-16:]))

    def stale_after_ms(self):
        """Return after how much silence it is stale, for fewer than 20,000 points."""
        if not self.resolution:
            return 900_000
        edges = 1000.0 * 1.4 ** np.arange(48)
        # A gap counts as long as the longest of its bin.
        long = [edges[min(np.searchsorted(edges, gap * (1 - 1e-12)), 47)] for gap in self.gaps]
        usual = [edge for edge in edges if sum(gap > edge for gap in long) <= 0.001 * len(long)]
        return max(5 * self.resolution, int(usual[0] if usual else edges[-1]), 300_000)
