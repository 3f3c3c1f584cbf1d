"""The engine once more, slow and obvious: one Python object a metric, one dictionary a verdict."""

import itertools
import math

import numpy as np

from anomify.detection import weights

MINUTES_5, HOURS_168 = 288, 168
QUICK, SMOOTH, DAY_FAST, WEEK_FAST, LEVEL, DAY_SLOW, WEEK_SLOW = range(7)
FAST_EXPERTS = (QUICK, SMOOTH, DAY_FAST, WEEK_FAST)
SLOW_EXPERTS = (LEVEL, DAY_SLOW, WEEK_SLOW)


def clip(value, most):
    return max(-most, min(most, value))


def single(value):
    """Keep a number as coarsely as the engine does."""
    return float(np.float32(value))


class NaiveGauge:
    """What is known of one gauge that reports every `step` seconds."""

    def __init__(self, step):
        self.step = step
        self.day_bins = min(MINUTES_5, max(1, int(86400 / step)))
        self.week_bins = min(HOURS_168, max(7, int(604800 / step)))
        self.trained_points = min(max(28 * 86400 // step, 28), 100)
        self.seen = 0

    def start(self, value):
        self.seen = 1
        self.anchor = value
        self.lowest = value
        self.previous = 0.0
        self.mean = self.spread = 0.0
        self.quick = self.smooth = self.level = 0.0
        self.offsets = {DAY_FAST: 0.0, DAY_SLOW: 0.0, WEEK_FAST: 0.0, WEEK_SLOW: 0.0}
        self.trial_errors = [0.0] * 7
        self.trials = [0] * 7
        self.powers = [0.0] * 7
        self.power_weights = [0.0] * 7
        self.day = [[0.0, 0] for _ in range(self.day_bins)]  # value, visits
        self.week = [[0.0, 0] for _ in range(self.week_bins)]
        self.day_place = self.week_place = None
        self.day_stay = self.week_stay = 0
        self.fast_scale = self.slow_scale = 0.0
        self.hours = [[0.0, 0.0, 0.0] for _ in range(24)]
        self.value_mean = self.value_power = 0.0
        self.weight = 1.0
        self.fast_recent = self.slow_recent = 0.0
        self.short = self.long = self.noise = self.pressure = 0.0
        self.short_power = self.long_power = self.noise_power = 1e-3
        self.high = self.low = 0.0
        self.run = self.longest_run = self.moves = self.repeat_share = 0.0
        self.tails = [[[0.0] * 64, [0.0] * 64] for _ in range(5)]
        self.tail_totals = [0.0] * 5
        self.increment = 1.0
        self.last_seconds = None
        self.moving_before = self.peak = self.shown_value = self.shown_relative = 0.0

    # --- what comes next ---

    def predictions(self):
        day, day_visits = self.day[self.day_place]
        week, week_visits = self.week[self.week_place]
        # Only visits that have ended count.
        day_visits -= self.day_stay > 0
        week_visits -= self.week_stay > 0
        said = {QUICK: self.quick, SMOOTH: self.smooth, LEVEL: self.level}
        if day_visits >= 5:
            said[DAY_FAST] = day + self.offsets[DAY_FAST]
            said[DAY_SLOW] = day + self.offsets[DAY_SLOW]
            if week_visits >= 3:
                said[WEEK_FAST] = day + week + self.offsets[WEEK_FAST]
                said[WEEK_SLOW] = day + week + self.offsets[WEEK_SLOW]
        return said

    def trusted(self, said, expert):
        return expert in said and self.trials[expert] > 20

    def best(self, said, experts, fallback):
        trusted = [expert for expert in experts if self.trusted(said, expert)]
        return min(trusted, key=lambda expert: self.trial_errors[expert], default=fallback)

    def scale(self, expert, floor):
        mean_square = self.powers[expert] / max(self.power_weights[expert], 1.0)
        return math.sqrt(mean_square) + floor

    # --- one point ---

    def see(self, time, value):
        seconds = time / 1000
        if self.seen == 0:
            self.start(value)
            self.last_seconds = seconds
            return None
        y = value - self.anchor
        floor = 1e-300 + 2e-5 * abs(self.mean + self.anchor) + 0.01 * self.spread
        hour = int(seconds % 86400 / 3600)
        self.move_to(seconds)
        said = self.predictions()
        fast_expert = self.best(said, FAST_EXPERTS, SMOOTH)
        slow_expert = self.best(said, SLOW_EXPERTS, LEVEL)
        slow = y - said[slow_expert]
        fast = self.surprise(y, said, y - said[fast_expert], slow, seconds)
        of_fast, of_slow, points = self.hours[hour]
        trust = points / (points + 24)

        def at_this_hour(of_hour, of_day):
            return max((1 - trust) * of_day + trust * of_hour, 0.3 * of_day) + floor

        fast_at = at_this_hour(of_fast, self.fast_scale)
        slow_at = at_this_hour(of_slow, self.slow_scale)
        fast_long = self.scale(fast_expert, floor)
        slow_long = self.scale(slow_expert, floor)
        lower = said[slow_expert] - 4 * slow_long + self.anchor
        upper = said[slow_expert] + 4 * slow_long + self.anchor
        if self.lowest >= 0:
            lower, upper = max(lower, 0.0), max(upper, 0.0)

        self.short += (clip(slow / slow_at, 8) - self.short) / 8
        self.long += (clip(slow / slow_at, 8) - self.long) / 48
        self.noise += (min(abs(fast / fast_at), 8) - self.noise) / 8
        self.pressure += (clip(slow / slow_at / 4, 1) - self.pressure) / 100
        self.see_standing(y)
        value_scale = math.sqrt(self.value_power / max(self.weight, 1.0)) + floor
        statistics = [
            (fast < 0, min(abs(fast) / fast_at, 1e4)),
            (y < self.value_mean, min(abs(y - self.value_mean) / value_scale, 1e4)),
            (self.short < 0, abs(self.short) * 3),
            (self.long < 0, abs(self.long) * 7),
            (y < self.previous, min(abs(y - self.previous) / fast_at, 1e4)),
        ]
        strength = novelty = display = 0.0
        is_judged = self.seen >= self.trained_points
        if self.seen > 25:
            jump = math.log1p(min(abs(fast) / max(fast_long, self.fast_recent), 1e4))
            change = math.log1p(min(abs(slow) / max(slow_long, self.slow_recent), 1e4))
            noise = math.log1p(self.noise / math.sqrt(self.noise_power))
            beyond = max(y - self.high, self.low - y, 0.0)
            new = math.log1p(min(10 * beyond / (self.high - self.low + floor), 1e4))
            flat = 0.0
            if self.moves >= 200:
                flat = math.log1p(max(self.run - self.longest_run, 0) / (self.longest_run + 2))
            short = math.log1p(abs(self.short) / math.sqrt(self.short_power))
            long = math.log1p(abs(self.long) / math.sqrt(self.long_power))
            rare = [self.rarity(tail, *statistics[tail]) for tail in range(5)]
            from_all = math.log1p(statistics[1][1])
            at_hour = math.log1p(statistics[0][1])
            relative = math.log1p(min(10 * abs(slow) / (abs(self.mean + self.anchor) + floor), 1e4))
            moving = (
                weights.JUMP * jump
                + weights.LEVEL_CHANGE * change
                + weights.FAST_AT_HOUR * at_hour
                + weights.RELATIVE * relative
                + weights.NOVELTY * new
            )
            moving = max(moving, 1.4 * from_all + 1.5 * new + 1.2 * jump)
            shifted = weights.SHIFT_ALONE * short
            if self.repeat_share > 0.5:
                moving = min(moving, 1.4 * rare[1])
                shifted = min(shifted, 1.4 * rare[2])
            is_fresh = seconds - self.last_seconds <= 10 * self.step
            before = self.moving_before if is_fresh and is_judged else 0.0
            strength = max(moving + weights.CONFIRMATION * before, shifted, 2.4 * flat)
            novelty = (
                weights.NEW_NOVELTY * new
                + weights.NEW_FLATNESS * flat
                + weights.NEW_LONG_SHIFT * long
                + weights.NEW_LONG_SHIFT_RARITY * rare[3]
                + weights.NEW_SHORT_SHIFT_RARITY * rare[2]
                + weights.NEW_VALUE_RARITY * rare[1]
                + weights.NEW_STEP_RARITY * rare[4]
                + weights.NEW_NOISE * noise
            )
            if is_judged:
                self.moving_before = moving
                display = self.show(strength, from_all, relative, short, seconds)
            for tail, (is_below, amount) in enumerate(statistics):
                bin_ = self.tail_bin(amount)
                kept = self.tails[tail][is_below][bin_]
                self.tails[tail][is_below][bin_] = single(kept + self.increment)
                self.tail_totals[tail] += self.increment
            self.increment *= 1.0001
        self.learn(y, value, said, fast, slow, fast_at, slow_at, floor, hour)
        self.last_seconds = seconds
        return {
            "strength": strength,
            "novelty": novelty,
            "display": display,
            "lower": lower,
            "upper": upper,
        }

    def show(self, strength, from_all, relative, short, seconds):
        half_life = max(900, 3 * self.step)
        keep = 0.5 ** ((seconds - self.last_seconds) / half_life)
        self.peak = max(self.peak * keep, strength)
        self.shown_value += (1 - keep) * (from_all - self.shown_value)
        self.shown_relative += (1 - keep) * (relative - self.shown_relative)
        return (
            self.peak
            + weights.SHOWN_VALUE * self.shown_value
            + weights.SHOWN_RELATIVE * self.shown_relative
            + weights.SHOWN_SHIFT * short
        )

    def move_to(self, seconds):
        day_place = int(seconds % 86400 * self.day_bins / 86400)
        week_place = int((seconds + 345600) % 604800 * self.week_bins / 604800)
        if day_place != self.day_place or self.step >= 86400 / self.day_bins:
            self.day_place, self.day_stay = day_place, 0
        if week_place != self.week_place or self.step >= 604800 / self.week_bins:
            self.week_place, self.week_stay = week_place, 0

    def surprise(self, y, said, fast, slow, seconds):
        left = [fast]
        if seconds - self.last_seconds > 10 * self.step:
            left.append(slow)
        habits = [expert for expert in (DAY_FAST, WEEK_FAST) if self.trusted(said, expert)]
        left.extend(y - said[expert] for expert in habits)
        if self.trusted(said, DAY_FAST):
            for beside in (-1, 1):
                level, visits = self.day[(self.day_place + beside) % self.day_bins]
                if visits >= 5:
                    left.append(y - level - self.offsets[DAY_FAST])
        return min(left, key=abs)

    def see_standing(self, y):
        is_still = y == self.previous
        self.repeat_share += (is_still - self.repeat_share) / min(self.seen, 1000)
        if is_still:
            self.run += 1
            if self.run > 24 * (self.longest_run + 2):
                self.longest_run = self.run
        else:
            self.moves += 1
            self.longest_run = max(self.longest_run, self.run)
            self.run = 0.0

    def tail_bin(self, amount):
        return min(63, int(math.log(amount / 0.2) / math.log(1.2)) + 1) if amount > 0.2 else 0

    def rarity(self, tail, is_below, amount):
        histogram = self.tails[tail][is_below]
        total = self.tail_totals[tail]
        need = max(0.02 * total, 4.0) if total > 200 else 0.02 * total
        # From the rarest bin down, as the engine adds, so that both meet the same edge.
        mass = list(itertools.accumulate(reversed(histogram)))[::-1]
        edge = next((k for k in range(63, -1, -1) if mass[k] >= need), None)
        if total <= 0 or edge is None:
            return 0.0
        top = mass[edge]
        ratio = math.log(1.2)
        logs = sum(histogram[k] * (k - 0.5) * ratio for k in range(edge, 64))
        slope = min(max(1 / max(logs / top - (edge - 1) * ratio, 0.05), 1.5), 8.0)
        place = self.tail_bin(amount)
        above = sum(histogram[place + 1 :]) + 0.5 * histogram[place]
        share = fitted = above / total
        distance = math.log(max(amount, 1e-12) / 0.2) - (edge - 1) * ratio
        if distance > 0:
            fitted = top / total * math.exp(-slope * distance)
        trust = above / (above + 4)
        return -math.log10(max(trust * share + (1 - trust) * fitted, 1e-30))

    # --- learning ---

    def learn(self, y, value, said, fast, slow, fast_at, slow_at, floor, hour):
        is_settling = abs(self.pressure) > 0.75
        for expert, prediction in said.items():
            error = abs(y - prediction)
            self.trials[expert] += 1
            if self.trials[expert] > 20:
                error = min(error, 6 * (self.trial_errors[expert] + floor))
            memory = min(self.trials[expert], 1000)
            self.trial_errors[expert] += (error - self.trial_errors[expert]) / memory
        self.learn_scales(fast, slow, fast_at, slow_at, floor, hour)
        self.learn_powers(y, said, fast, slow, floor)
        self.learn_values(y, floor)
        memory = min(self.seen + 5, 10000)
        self.short_power = max(
            self.short_power + (self.short**2 - self.short_power) / memory, 1e-12
        )
        self.long_power = max(self.long_power + (self.long**2 - self.long_power) / memory, 1e-12)
        self.noise_power = max(
            self.noise_power + (self.noise**2 - self.noise_power) / memory, 1e-12
        )
        self.mean += (y - self.mean) / min(self.seen + 1, 5000)
        self.spread += (abs(y - self.mean) - self.spread) / min(self.seen, 5000)
        self.learn_profiles(y, floor, is_settling)
        self.lowest = min(self.lowest, value)
        self.previous = y
        self.seen += 1

    def learn_scales(self, fast, slow, fast_at, slow_at, floor, hour):
        rate = 1 / min(self.seen + 1, 1000)
        fast_most = slow_most = math.inf
        if self.seen >= 20:
            fast_most = 6 * (self.fast_scale + floor)
            slow_most = 6 * (self.slow_scale + floor)
        self.fast_scale += rate * (min(abs(fast), fast_most) - self.fast_scale)
        self.slow_scale += rate * (min(abs(slow), slow_most) - self.slow_scale)
        of_fast, of_slow, points = self.hours[hour]
        points += 1
        rate = 1 / min(points, max(4, 10800 / self.step) + 20)
        self.hours[hour] = [
            single(of_fast + rate * (min(abs(fast), 6 * fast_at) - of_fast)),
            single(of_slow + rate * (min(abs(slow), 6 * slow_at) - of_slow)),
            points,
        ]

    def learn_powers(self, y, said, fast, slow, floor):
        self.weight = min(self.weight + 1, 20000)
        for expert in said:
            if not self.trusted(said, expert):
                continue
            if self.power_weights[expert] == 0:
                weight = 50 if expert in (QUICK, SMOOTH, LEVEL) else 2000
                self.power_weights[expert] = weight
                self.powers[expert] = weight * (2 * self.trial_errors[expert] + floor) ** 2
            weight = min(self.power_weights[expert] + 1, 20000)
            guard = self.fast_recent if expert in FAST_EXPERTS else self.slow_recent
            most = 6 * max(math.sqrt(self.powers[expert] / weight) + floor, guard)
            if weight == 20000:
                self.powers[expert] *= 1 - 1 / 20000
            self.powers[expert] += min(abs(y - said[expert]), most) ** 2
            self.power_weights[expert] = weight
        self.fast_recent += (abs(fast) - self.fast_recent) / min(60, self.seen + 1)
        self.slow_recent += (abs(slow) - self.slow_recent) / min(200, self.seen + 1)

    def learn_values(self, y, floor):
        away = y - self.value_mean
        self.value_mean += away / self.weight
        if self.seen < 20:
            self.value_power += away * (y - self.value_mean)
        else:
            most = 12 * (math.sqrt(self.value_power / self.weight) + floor)
            if self.weight == 20000:
                self.value_power *= 1 - 1 / 20000
            self.value_power += min(abs(away), most) ** 2
        forget = 0.5 / (20 * max(48, 86400 / self.step))
        high, low = max(self.high, y), min(self.low, y)
        self.high = high - forget * (high - self.value_mean)
        self.low = low + forget * (self.value_mean - low)

    def learn_profiles(self, y, floor, is_settling):
        far = quick_far = math.inf
        if self.seen >= 20:
            far = 4 * (self.slow_scale + floor)
            quick_far = 8 * max(self.trial_errors[QUICK] + floor, self.trial_errors[SMOOTH])
        slow_far = math.inf if is_settling else far
        offset_rate = 0.02 if is_settling else 1 / 600
        level_rate = max(1 / 3000, 1 / (self.seen + 1), 0.02 if is_settling else 0.0)
        self.quick += 0.5 * (y - self.quick)
        self.smooth += 0.1 * clip(y - self.smooth, quick_far)
        self.level += level_rate * clip(y - self.level, max(slow_far, 4 * self.trial_errors[LEVEL]))

        share = self.step * self.day_bins / 86400
        here = self.day[self.day_place]
        self.learn_bin(here, self.day_stay, y - self.offsets[DAY_SLOW], far, share, 0.1)
        self.day_stay += 1
        day = here[0]
        fast, slow = self.offsets[DAY_FAST], self.offsets[DAY_SLOW]
        self.offsets[DAY_FAST] += 0.08 * clip(y - day - fast, 2 * far)
        self.offsets[DAY_SLOW] += offset_rate * clip(y - day - slow, slow_far)

        share = self.step * self.week_bins / 604800
        here = self.week[self.week_place]
        self.learn_bin(here, self.week_stay, y - day - self.offsets[WEEK_SLOW], far, share, 0.25)
        self.week_stay += 1
        week = day + here[0]
        fast, slow = self.offsets[WEEK_FAST], self.offsets[WEEK_SLOW]
        self.offsets[WEEK_FAST] += 0.08 * clip(y - week - fast, 2 * far)
        self.offsets[WEEK_SLOW] += offset_rate * clip(y - week - slow, slow_far)

    def learn_bin(self, here, stay, value, far, share, least_rate):
        share = min(1.0, share)
        if stay == 0:
            here[1] = min(here[1] + 1, 255)
        before = (here[1] - 1) / share + stay
        if before < 1:
            here[0] = single(value)
        else:
            rate = max(1 / (before + 1), least_rate * share)
            here[0] = single(here[0] + rate * clip(value - here[0], far))
