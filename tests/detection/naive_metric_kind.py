"""What comes before judging, once more and obviously: steps, kinds, gaps, the end of learning."""

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


def rate(earlier, later):
    (time, value), (later_time, later_value) = earlier, later
    increase = later_value - value
    if 0 <= later_value < 0.5 * value:
        increase = later_value
    return increase / ((later_time - time) / 1000)


class NaiveFeed:
    """All that a metric has reported, kept whole, and what it turned out to be so far."""

    def __init__(self, kind="auto", step=0):
        self.points = []
        self.heard = None
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

    def see(self, time, value):
        """Take one point; return the naive verdict with the value it is of, if it is judged."""
        if not math.isfinite(value) or (self.heard is not None and time <= self.heard):
            return None
        self.heard = time
        if abs(value) > 1e100:
            return None
        was_counter = self.is_counter
        self.learn_kind(value)
        if self.is_counter != was_counter and self.trained_points:
            self.relearn()
        self.learn_step(time)
        self.points.append((time, value))
        if not self.trained_points:
            # What the distances say at the end of learning may mean a longer one.
            if len(self.points) >= self.needed():
                self.trained_points = len(self.points)
                self.relearn()
            return None
        return self.judge()

    def needed(self):
        return min(100, max(28, 28 * DAY // max(self.resolution, 1)))

    def relearn(self):
        self.gauge = NaiveGauge(self.resolution / 1000)
        # What is learnt anew is not judged; what follows is, however few they were.
        self.gauge.trained_points = math.inf
        newest = self.points[-100:]
        if self.is_counter:
            for earlier, later in itertools.pairwise(newest):
                self.gauge.see(later[0], rate(earlier, later))
        else:
            for time, value in newest:
                self.gauge.see(time, value)
        self.gauge.trained_points = 0

    def judge(self):
        time, value = self.points[-1]
        judged = rate(self.points[-2], self.points[-1]) if self.is_counter else value
        # As long as it is short against the bins, another step changes nothing else.
        self.gauge.step = self.resolution / 1000
        verdict = self.gauge.see(time, judged)
        return None if verdict is None else {**verdict, "value": judged}

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
        """Say after how much silence it is stale; for fewer than 20,000 points."""
        if not self.resolution:
            return 900_000
        edges = 1000.0 * 1.4 ** np.arange(48)
        # A gap counts as long as the longest of its bin.
        long = [edges[min(np.searchsorted(edges, gap * (1 - 1e-12)), 47)] for gap in self.gaps]
        usual = [edge for edge in edges if sum(gap > edge for gap in long) <= 0.001 * len(long)]
        return max(5 * self.resolution, int(usual[0] if usual else edges[-1]), 300_000)
