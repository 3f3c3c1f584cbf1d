"""Plain second implementation of what compares with other days and weeks: recurrence and trend."""

import math
from collections import defaultdict

import numpy as np

DAY = 86400
MONDAY = 345600


def coarse(deviation):
    """Return a deviation rounded down to a 50th of an octave, as the engine stores it."""
    if abs(deviation) < 1e-90:
        return 0.0
    octaves = int((math.log2(abs(deviation)) + 320) * 50) / 50 - 320
    return math.copysign(2.0**octaves, deviation)


class NaiveVisits:
    """The largest deviation of each visit of each part of a day or week, newest visit first."""

    def __init__(self, part_seconds, parts, kept, needed):
        self.part_seconds, self.parts, self.kept, self.needed = part_seconds, parts, kept, needed
        self.deviations = defaultdict(lambda: [0.0] * kept)
        self.visit = None

    def enter(self, seconds):
        visit = int(seconds // self.part_seconds)
        if visit != self.visit:
            self.visit = visit
            self.part = visit % self.parts
            self.points_out = 0
            self.deviations[self.part] = [0.0, *self.deviations[self.part][:-1]]

    def learn(self, deviation):
        here = self.deviations[self.part]
        if abs(coarse(deviation)) > abs(here[0]):
            here[0] = coarse(deviation)

    def usual(self, sign):
        """Return the size that `needed` of the earlier visits have reached to this side."""
        own = self.deviations[self.part]
        before = self.deviations[(self.part - 1) % self.parts]
        after = self.deviations[(self.part + 1) % self.parts]
        # The part after this one has not been visited again yet.
        sizes = [
            max(sign * own[visit], sign * before[visit], sign * after[visit - 1])
            for visit in range(1, self.kept)
        ]
        return max(sorted(sizes)[-self.needed], 0.0)


class NaiveRecurrence:
    """The deviations of one metric that left its range, by time of the day and of the week."""

    def __init__(self):
        self.day = NaiveVisits(900, 96, kept=6, needed=3)
        self.week = NaiveVisits(1800, 336, kept=4, needed=2)

    def enter(self, seconds):
        self.day.enter(seconds)
        self.week.enter(seconds + MONDAY)

    def is_regular(self, deviation):
        sign = 1 if deviation > 0 else -1
        return abs(deviation) <= 1.3 * max(self.day.usual(sign), self.week.usual(sign))

    def learn(self, deviation, step):
        self.day.learn(deviation)
        self.week.points_out += 1
        if self.week.points_out * step >= 0.3 * self.week.part_seconds:
            self.week.learn(deviation)


class NaiveTrend:
    """The daily means of one metric, kept whole, and their differences from a week before."""

    def __init__(self):
        self.day = None
        self.values = []
        self.means = []  # of the whole days in a row that have ended
        self.rises = 0
        self.last = 0.0
        self.power = self.count = 0.0

    def see(self, seconds, y, step, size):
        result = 0.0
        day = int(seconds // DAY)
        if day != self.day:
            is_whole = len(self.values) * step >= DAY / 2 and step <= 7200
            if is_whole and day == self.day + 1:
                result = self.end_day(size)
            else:
                self.means = []
            self.day, self.values = day, []
        self.values.append(y)
        return result

    def end_day(self, size):
        mean = sum(self.values) / len(self.values)
        self.means.append(float(np.float32(mean)))
        if len(self.means) <= 7:
            return 0.0
        difference = mean - self.means[-8]
        mean_square = self.power / max(self.count, 1)
        usual = max(math.sqrt(mean_square), 0.03 * size)
        is_same_side = difference * self.last > 0
        is_growing = is_same_side and abs(difference) - abs(self.last) > usual
        self.rises = self.rises + 1 if is_growing and self.count >= 7 else 0
        if self.count >= 28:
            self.power, self.count = self.power - mean_square, self.count - 1
        self.power += min(abs(difference), 3 * usual) ** 2
        self.count += 1
        self.last = difference
        return abs(difference) / usual if self.rises >= 2 else 0.0
