"""Plain second implementation of what turns strengths into alerts: the history and the records."""

import math

import numpy as np

SHORT, LASTING = 0, 1
DAY = 86400
LEAST = 4.5  # weaker strengths are not counted


def strength_bin(strength):
    return min(max(int((strength - LEAST) / 0.5), 0), 15)


class NaiveAlerts:
    """The alerts of one metric so far; `born` is the unix time of its first point."""

    def __init__(self, born):
        self.born = born
        self.counts = {(sign, kind): [0.0] * 16 for sign in (0, 1) for kind in (SHORT, LASTING)}
        self.counted_until = 0.0
        self.strength_before = 0.0
        self.episode_end = 0.0
        self.episode_peak, self.episode_sign, self.episode_kind = 0.0, 0, SHORT
        self.records = {"up": 0.0, "down": 0.0}
        self.calm_points = 0

    def alert(self, strength, slow_size, seconds, gap, step):
        """Return the alert of a point; `slow_size` is its slow residual in long scales."""
        lowered = self.lower_by_history(strength, int(slow_size < 0), seconds, gap, step)
        return self.above_record(lowered, slow_size, gap, step)

    def lower_by_history(self, strength, sign, seconds, gap, step):
        is_lasting = self.strength_before >= LEAST and gap <= 3 * step
        self.strength_before = strength
        if strength < LEAST:
            return strength
        kind = LASTING if is_lasting else SHORT
        if seconds - self.episode_end > max(3600, 3 * step):
            self.end_episode(seconds)
        same = self.as_strong(strength, sign, kind)
        if strength > self.episode_peak:
            self.episode_peak, self.episode_sign = strength, sign
        self.episode_kind = max(self.episode_kind, kind)
        self.episode_end = seconds

        age = seconds - self.born
        same /= max(0.15, min(1, age / (14 * DAY)))
        if same > 0:
            share, few, power = (1, 3.5, 1.5) if kind == SHORT else (0.25, 16, 3)
            strength = min(strength, 10.5 - 2.2 * math.log(share * same))
            strength /= (1 + (same / few) ** power) ** 0.25
        strength -= 2.25 * max(0, 1 - age / (4 * DAY))
        strength -= 3 * max(0, 1 - age / DAY)
        return max(strength, 0.01)

    def end_episode(self, seconds):
        keep = 0.5 ** ((seconds - self.counted_until) / (14 * DAY))
        for counts in self.counts.values():
            counts[:] = [float(np.float32(count * keep)) for count in counts]
        self.counted_until = seconds
        if self.episode_peak:
            counts = self.counts[self.episode_sign, self.episode_kind]
            place = strength_bin(self.episode_peak)
            counts[place] = float(np.float32(counts[place] + 1))
        self.episode_peak, self.episode_kind = 0.0, SHORT

    def as_strong(self, strength, sign, kind):
        first = strength_bin(strength - 0.25)
        shares = [math.exp(min(place - first, 0) * 0.5 / 1.2) for place in range(16)]
        same, lasting = (
            sum(share * count for share, count in zip(shares, self.counts[sign, of], strict=True))
            for of in (kind, LASTING)
        )
        return same + 0.5 * max(0, lasting - 10) if kind == SHORT else same

    def above_record(self, strength, slow_size, gap, step):
        is_inside = abs(slow_size) < 4
        self.calm_points = self.calm_points + 1 if is_inside else 0
        keep = 0.5 ** (gap / max(7200, 3 * step)) if self.calm_points < 5 else 0.0
        for direction in self.records:
            self.records[direction] *= keep
        directions = ("up", "down") if is_inside else ("up",) if slow_size > 0 else ("down",)
        record = max(self.records[direction] for direction in directions)
        for direction in directions:
            self.records[direction] = max(self.records[direction], strength)
        return strength if strength > record else 0.0
