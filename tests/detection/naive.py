"""A plain second implementation of the engine: one Python object for each metric."""

import itertools
import math

import numpy as np

from anomify.detection import weights
from tests.detection.naive_alerts import NaiveAlerts
from tests.detection.naive_calendar import NaiveRecurrence, NaiveTrend

MINUTES_5, HOURS_168 = 288, 168
QUICK, SMOOTH, DAY_FAST, WEEK_FAST, LEVEL, DAY_SLOW, WEEK_SLOW = range(7)
FAST_EXPERTS = (QUICK, SMOOTH, DAY_FAST, WEEK_FAST)
SLOW_EXPERTS = (LEVEL, DAY_SLOW, WEEK_SLOW)


def clip(value, most):
    return max(-most, min(most, value))


def single(value):
    """Return a number as float32 stores it."""
    return float(np.float32(value))


def ratio(size, scale):
    return min(abs(size) / scale, 1e4)


def distance_outside(residual, lower, upper):
    """Return how far a residual lies outside lower..upper."""
    return max(residual - upper, 0.0) if residual > 0 else min(residual - lower, 0.0)


FEATURES = (
    *("jump", "change", "noise", "new", "flat", "repeats", "short", "long", "from_all", "at_hour"),
    *("relative", "plain_jump", "plain_change", "plain_relative", "trend"),
    *("rare_fast", "rare_value", "rare_short", "rare_long", "rare_step"),
)


def weighted(features, jump, change, relative):
    return (
        weights.JUMP * features[jump]
        + weights.LEVEL_CHANGE * features[change]
        + weights.FAST_AT_HOUR * features["at_hour"]
        + weights.RELATIVE * features[relative]
        + weights.NOVELTY * features["new"]
    )


def is_beyond(features, change):
    return features[change] > math.log1p(4) or features["new"] > 0.7


def beyond(features):
    return 1.3 * features["from_all"] + 1.5 * features["new"] + 1.2 * features["jump"]


def is_sparse(features):
    return features["repeats"] > 0.5


def mean_square(before, size, memory):
    return max(before + (size**2 - before) / memory, 1e-12)


class NaiveGauge:
    """The state of one gauge; `born` is the unix time of its first point ever."""

    def __init__(self, step, born):
        self.alerts = NaiveAlerts(born)
        self.recurrence = NaiveRecurrence()
        self.trend = NaiveTrend()
        self.step = step
        self.learned = 0
        self.anchor = self.previous = self.lowest = 0.0
        self.mean = self.spread = 0.0
        self.quick = self.smooth = self.level = 0.0
        self.offsets = {DAY_FAST: 0.0, DAY_SLOW: 0.0, WEEK_FAST: 0.0, WEEK_SLOW: 0.0}
        self.trial_errors = [0.0] * 7
        self.trials = [0] * 7
        self.powers = [0.0] * 7
        self.power_weights = [0.0] * 7
        self.day = [[0.0, 0] for _ in range(MINUTES_5)]  # value, visits
        self.week = [[0.0, 0] for _ in range(HOURS_168)]
        self.day_place = self.week_place = None
        self.day_stay = self.week_stay = 0
        self.fast_scale = self.slow_scale = 0.0
        self.hours = [[0.0, 0.0, 0.0] for _ in range(24)]  # fast, slow, points
        self.is_seasonal = self.was_out = False
        self.value_mean = self.value_power = 0.0
        self.weight = 1.0
        self.fast_recent = self.slow_recent = 0.0
        self.short = self.long = self.noise = self.pressure = 0.0
        self.short_power = self.long_power = self.noise_power = 1e-3
        self.high = self.low = 0.0
        self.run = self.longest_run = self.moves = self.repeat_share = 0.0
        self.share_before_run = 0.0
        self.tails = [[[0.0] * 64, [0.0] * 64] for _ in range(5)]
        self.tail_totals = [0.0] * 5
        self.increment = 1.0
        self.moving_before = self.plain_before = 0.0
        self.peak = self.shown_value = self.shown_relative = 0.0

    @property
    def day_bins(self):
        return min(MINUTES_5, max(1, int(86400 / self.step)))

    @property
    def week_bins(self):
        return min(HOURS_168, max(7, int(604800 / self.step)))

    @property
    def visits_needed(self):
        return 2 if self.step < 1800 else 4

    def change_step(self, step):
        """Take over another step; with another number of bins the profiles start again."""
        bins = self.day_bins, self.week_bins
        self.step = step
        if bins != (self.day_bins, self.week_bins):
            for here in (*self.day, *self.week):
                here[1] = 0

    # --- forecasts and scales ---

    def predictions(self):
        day, day_visits = self.day[self.day_place]
        week, week_visits = self.week[self.week_place]
        week = single(day + week)
        # Only visits that have ended count.
        day_visits -= self.day_stay > 0
        week_visits -= self.week_stay > 0
        forecasts = {QUICK: self.quick, SMOOTH: self.smooth, LEVEL: self.level}
        if day_visits >= self.visits_needed:
            forecasts[DAY_FAST] = day + self.offsets[DAY_FAST]
            forecasts[DAY_SLOW] = day + self.offsets[DAY_SLOW]
            if week_visits >= 2:
                forecasts[WEEK_FAST] = week + self.offsets[WEEK_FAST]
                forecasts[WEEK_SLOW] = week + self.offsets[WEEK_SLOW]
        return forecasts

    def trusted(self, forecasts, expert):
        return expert in forecasts and self.trials[expert] > 20

    def best(self, forecasts, experts, fallback):
        def error(expert):
            return self.trial_errors[expert] * (0.95 if expert in (DAY_SLOW, WEEK_SLOW) else 1)

        trusted = [expert for expert in experts if self.trusted(forecasts, expert)]
        return min(trusted, key=error, default=fallback)

    def usual_range(self):
        """Return how far the bins beside this one lie below (<= 0) and above (>= 0) it.

        At the edges of a job that includes the bins farther away, and a share of a short job's
        height is added to both sides.
        """
        level = self.day[self.day_place][0]

        def difference(by):
            other, visits = self.day[(self.day_place + by) % self.day_bins]
            return single(other - level) if visits >= self.visits_needed else None

        near = [difference(by) for by in (-1, 1)]
        far = [difference(by) for by in (-3, -2, 2, 3)]
        ends = [each for each in near if each is not None]
        ends += [each for each in far if each is not None and abs(each) > 20 * self.slow_scale]
        hour = self.day_bins // 24
        before, after = difference(-hour), difference(hour)
        height = 0.0
        if hour >= 3 and before is not None and after is not None and before * after > 0:
            height = min(abs(before), abs(after))
        return min([0.0, *ends]) - 0.15 * height, max([0.0, *ends]) + 0.15 * height

    def scale(self, expert, floor):
        mean_square = self.powers[expert] / max(self.power_weights[expert], 1.0)
        return math.sqrt(mean_square) + floor

    def hour_scale(self, hour, of, of_day, floor):
        of_hour, points = self.hours[hour][of], self.hours[hour][2]
        trust = points / (points + 24)
        return max((1 - trust) * of_day + trust * of_hour, 0.3 * of_day) + floor

    def hour_factor(self, hour, of, floor):
        points = self.hours[hour][2]
        if points == 0:
            return 1.0
        known = [each[of] for each in self.hours if each[2] > 0]
        trust = points / (points + 60)
        raw = (self.hours[hour][of] + floor) / (sum(known) / len(known) + floor)
        return min(max(1 + trust * (raw - 1), 0.3), 6.0)

    def relative_size(self):
        return abs(self.mean + self.anchor) if self.lowest >= 0 else 8 * self.spread

    # --- one point ---

    def judge(self, seconds, value, gap):
        """Return the verdict on a value, a dictionary, and learn it."""
        seen = self.see(seconds, value, gap)
        features = seen["features"]
        strength = self.strength(features, gap)
        return {
            "value": value,
            "lower": seen["lower"],
            "upper": seen["upper"],
            "strength": strength,
            "novelty": self.novelty(features),
            "display": self.display(features, strength, gap),
            "alert": self.alerts.alert(strength, seen["slow_size"], seconds, gap, self.step),
        }

    def see(self, seconds, value, gap):
        """Return the features and the expected range of a value, and learn it."""
        if self.learned == 0:
            self.learned = 1
            self.anchor = self.lowest = value
            none = dict.fromkeys(FEATURES, 0.0)
            return {"features": none, "lower": value, "upper": value, "slow_size": 0.0}
        y = value - self.anchor
        floor = 1e-300 + 2e-5 * abs(self.mean + self.anchor) + 0.01 * self.spread
        size = self.relative_size()
        hour = int(seconds % 86400 / 3600)
        self.move_to(seconds)
        self.recurrence.enter(seconds)
        forecasts = self.predictions()
        fast_expert = self.best(forecasts, FAST_EXPERTS, SMOOTH)
        slow_expert = self.best(forecasts, SLOW_EXPERTS, LEVEL)
        expected = forecasts[slow_expert]
        plain_slow = y - expected
        lower, upper = self.usual_range()
        residuals = [y - forecasts[fast_expert]]
        if gap > 10 * self.step:
            residuals.append(plain_slow)
        seasonal = [each for each in (DAY_FAST, WEEK_FAST) if self.trusted(forecasts, each)]
        residuals.extend(
            distance_outside(y - forecasts[expert], lower, upper) for expert in seasonal
        )
        fast = min(residuals, key=abs)
        if slow_expert == LEVEL:
            lower = upper = 0.0
        slow = distance_outside(plain_slow, lower, upper)

        if slow_expert != LEVEL and not self.is_seasonal:
            self.is_seasonal = True
            for each in self.hours:
                each[2] = 0.0
        fast_at = self.hour_scale(hour, 0, self.fast_scale, floor)
        slow_at = self.hour_scale(hour, 1, self.slow_scale, floor)
        fast_long = self.scale(fast_expert, floor)
        slow_long = self.scale(slow_expert, floor)
        plain_fast_scale = max(fast_long, self.fast_recent)
        plain_slow_scale = max(slow_long, self.slow_recent)
        is_out = abs(slow) > 4 * slow_long
        fast_long *= self.hour_factor(hour, 0, floor)
        slow_long *= self.hour_factor(hour, 1, floor)
        fast_guarded = max(fast_long, self.fast_recent)
        slow_guarded = max(slow_long, self.slow_recent)
        lower = expected + lower - 4 * slow_long + self.anchor
        upper = expected + upper + 4 * slow_long + self.anchor

        learnt = fast, slow
        recurs = False
        if is_out and self.learned > 25:
            recurs = self.recurrence.is_regular(slow)
            self.recurrence.learn(slow, self.step)
        if recurs:
            fast = slow = plain_slow = 0.0
            lower, upper = min(lower, value), max(upper, value)
        elif self.was_out and not is_out:
            fast = min(fast, slow, key=abs)
        self.was_out = is_out
        if self.lowest >= 0:
            lower, upper = max(lower, 0.0), max(upper, 0.0)

        self.short += (clip(slow / slow_at, 8) - self.short) / 8
        self.long += (clip(slow / slow_at, 8) - self.long) / 48
        self.noise += (min(abs(fast / fast_at), 8) - self.noise) / 8
        self.pressure += (clip(slow / slow_at / 4, 1) - self.pressure) / 100
        self.see_repeat(y)
        difference = self.trend.see(seconds, y, self.step, size)
        value_scale = math.sqrt(self.value_power / max(self.weight, 1.0)) + floor
        statistics = [
            (fast < 0, ratio(fast, fast_at)),
            (y < self.value_mean, ratio(y - self.value_mean, value_scale)),
            (self.short < 0, abs(self.short) * 3),
            (self.long < 0, abs(self.long) * 7),
            (y < self.previous, ratio(y - self.previous, fast_at)),
        ]
        features = dict.fromkeys(FEATURES, 0.0)
        if self.learned > 25:
            outside = max(y - self.high, self.low - y, 0.0)
            rare = [self.rarity(tail, *statistics[tail]) for tail in range(5)]
            features = {
                "jump": math.log1p(ratio(fast, fast_guarded)),
                "change": math.log1p(ratio(slow, slow_guarded)),
                "noise": math.log1p(self.noise / math.sqrt(self.noise_power)),
                "new": math.log1p(min(10 * outside / (self.high - self.low + floor), 1e4)),
                "flat": self.flatness(),
                "repeats": self.repeat_share,
                "short": math.log1p(abs(self.short) / math.sqrt(self.short_power)),
                "long": math.log1p(abs(self.long) / math.sqrt(self.long_power)),
                "from_all": math.log1p(statistics[1][1]),
                "at_hour": math.log1p(statistics[0][1]),
                "relative": math.log1p(ratio(10 * slow, size + floor)),
                "plain_jump": math.log1p(ratio(fast, plain_fast_scale)),
                "plain_change": math.log1p(ratio(plain_slow, plain_slow_scale)),
                "plain_relative": math.log1p(ratio(10 * plain_slow, size + floor)),
                "trend": math.log1p(difference),
                # The alarm uses the rarity of large residuals only.
                "rare_fast": rare[0] if statistics[0][1] > 4 else 0.0,
                "rare_value": rare[1],
                "rare_short": rare[2],
                "rare_long": rare[3],
                "rare_step": rare[4],
            }
            for tail, (is_below, amount) in enumerate(statistics):
                histogram, place = self.tails[tail][is_below], self.tail_bin(amount)
                histogram[place] = single(histogram[place] + self.increment)
                self.tail_totals[tail] += self.increment
            self.increment *= 1.0001
        slow_size = slow / slow_long
        self.learn(
            y,
            value,
            forecasts,
            learnt,
            (fast, slow),
            (fast_at, slow_at),
            (fast_guarded, slow_guarded),
            floor,
            hour,
            recurs,
        )
        return {"features": features, "lower": lower, "upper": upper, "slow_size": slow_size}

    # --- strengths ---

    def strength(self, features, gap):
        moving = weighted(features, "jump", "change", "relative")
        is_moving = features["new"] > 0 and features["long"] > 1.3
        if is_moving or is_beyond(features, "change"):
            moving = max(moving, beyond(features))
        shifted = weights.SHIFT_ALONE * features["short"]
        lasting = 2.6 * features["long"] if features["short"] > 0.7 else 0.0
        rare = min(1.15 * features["rare_fast"], 6.8)
        if is_sparse(features):
            moving = min(moving, 1.43 * features["rare_value"])
            shifted = min(shifted, 1.43 * features["rare_short"])
            lasting = min(lasting, 1.43 * features["rare_long"])
            rare = 0.0
        before = self.moving_before if gap <= 10 * self.step else 0.0
        self.moving_before = moving
        return max(
            moving + weights.CONFIRMATION * before,
            shifted,
            rare,
            2.4 * features["flat"],
            lasting,
            2.8 * features["trend"],
        )

    def novelty(self, features):
        return (
            weights.NEW_NOVELTY * features["new"]
            + weights.NEW_FLATNESS * features["flat"]
            + weights.NEW_LONG_SHIFT * features["long"]
            + weights.NEW_LONG_SHIFT_RARITY * features["rare_long"]
            + weights.NEW_SHORT_SHIFT_RARITY * features["rare_short"]
            + weights.NEW_VALUE_RARITY * features["rare_value"]
            + weights.NEW_STEP_RARITY * features["rare_step"]
            + weights.NEW_NOISE * features["noise"]
        )

    def display(self, features, strength, gap):
        plain = weighted(features, "plain_jump", "plain_change", "plain_relative")
        if is_sparse(features):
            plain = min(plain, 1.43 * features["rare_value"])
        before = self.plain_before if gap <= 10 * self.step else 0.0
        self.plain_before = plain
        keep = 0.5 ** (gap / max(1200, 3 * self.step))
        self.peak = max(self.peak * keep, plain + weights.CONFIRMATION * before)
        keep = 0.5 ** (gap / max(150, 3 * self.step))
        self.shown_value += (1 - keep) * (features["from_all"] - self.shown_value)
        self.shown_relative += (1 - keep) * (features["plain_relative"] - self.shown_relative)
        shown = (
            self.peak
            + weights.SHOWN_VALUE * self.shown_value
            + weights.SHOWN_RELATIVE * self.shown_relative
            + weights.SHOWN_SHIFT * features["short"]
        )
        return max(shown, strength)

    def move_to(self, seconds):
        day_place = int(seconds % 86400 * self.day_bins / 86400)
        week_place = int((seconds + 345600) % 604800 * self.week_bins / 604800)
        if day_place != self.day_place or self.step >= 86400 / self.day_bins:
            self.day_place, self.day_stay = day_place, 0
        if week_place != self.week_place or self.step >= 604800 / self.week_bins:
            self.week_place, self.week_stay = week_place, 0

    def see_repeat(self, y):
        repeats = y == self.previous
        self.repeat_share += (repeats - self.repeat_share) / min(self.learned, 1000)
        if repeats:
            self.run += 1
            if self.run > 24 * (self.longest_run + 2):
                self.longest_run = self.run
        else:
            self.share_before_run = self.repeat_share
            self.moves += 1
            self.longest_run = max(self.longest_run, self.run)
            self.run = 0.0

    def flatness(self):
        excess = self.run - self.longest_run
        if self.moves < 200 or excess <= 0:
            return 0.0
        share = min(max(self.share_before_run, 0.01), 0.99)
        by_chance = math.log(self.moves + 2) / -math.log(share)
        times = min(3 * max(self.longest_run / by_chance, 1), 12)
        return math.log1p(12 / times * excess / max(self.longest_run + 2, 6 * times / 12))

    def tail_bin(self, amount):
        return min(63, int(math.log(amount / 0.2) / math.log(1.2)) + 1) if amount > 0.2 else 0

    def rarity(self, tail, is_below, amount):
        histogram = self.tails[tail][is_below]
        total = self.tail_totals[tail]
        if total <= 0:
            return 0.0
        place = self.tail_bin(amount)
        if sum(histogram[1:]) < 1e-6:
            return math.log10(total / self.increment + 1) if place > 0 else 0.0
        need = max(0.02 * total, 4.0) if total > 200 else 0.02 * total
        # Summed from the rarest bin down, as in the engine, so that both find the same edge.
        mass = list(itertools.accumulate(reversed(histogram)))[::-1]
        lowest = next(k for k in range(1, 64) if histogram[k] > 0)
        edge = next((k for k in range(63, 0, -1) if mass[k] >= need), lowest)
        top = mass[edge]
        log_ratio = math.log(1.2)
        logs = sum(histogram[k] * (k - 0.5) * log_ratio for k in range(edge, 64))
        slope = min(max(1 / max(logs / top - (edge - 1) * log_ratio, 0.05), 1.5), 8.0)
        above = sum(histogram[place + 1 :]) + 0.5 * histogram[place]
        share = fitted = above / total
        distance = math.log(max(amount, 1e-12) / 0.2) - (edge - 1) * log_ratio
        if distance > 0:
            fitted = top / total * math.exp(-slope * distance)
        trust = above / (above + 4)
        return -math.log10(max(trust * share + (1 - trust) * fitted, 1e-30))

    # --- learning ---

    def learn(self, y, value, forecasts, learnt, judged, at, guarded, floor, hour, recurs):
        is_settling = abs(self.pressure) > 0.75
        for expert, prediction in forecasts.items():
            error = abs(y - prediction)
            self.trials[expert] += 1
            if self.trials[expert] > 20:
                error = min(error, 6 * (self.trial_errors[expert] + floor))
            memory = min(self.trials[expert], 1000)
            self.trial_errors[expert] += (error - self.trial_errors[expert]) / memory
        self.learn_scales(*learnt, *at, floor, hour)
        self.learn_powers(y, forecasts, floor)
        self.learn_guards(*judged, *guarded)
        self.learn_values(y, floor)
        memory = min(self.learned + 5, 10000)
        self.short_power = mean_square(self.short_power, self.short, memory)
        self.long_power = mean_square(self.long_power, self.long, memory)
        self.noise_power = mean_square(self.noise_power, self.noise, memory)
        self.mean += (y - self.mean) / min(self.learned + 1, 5000)
        self.spread += (abs(y - self.mean) - self.spread) / min(self.learned, 5000)
        self.learn_profiles(y, floor, is_settling, recurs)
        self.lowest = min(self.lowest, value)
        self.previous = y
        self.learned += 1

    def learn_scales(self, fast, slow, fast_at, slow_at, floor, hour):
        rate = 1 / min(self.learned + 1, 1000)
        fast_most = slow_most = math.inf
        if self.learned >= 20:
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

    def learn_powers(self, y, forecasts, floor):
        self.weight = min(self.weight + 1, 20000)
        memory = min(max(42 * 86400 / self.step, 1000), 20000)
        for expert in forecasts:
            if not self.trusted(forecasts, expert):
                continue
            if self.power_weights[expert] == 0:
                is_seasonal = expert not in (QUICK, SMOOTH, LEVEL)
                weight = min(max(86400 / self.step, 50), 2000) if is_seasonal else 50
                self.power_weights[expert] = weight
                self.powers[expert] = weight * (2 * self.trial_errors[expert] + floor) ** 2
            weight = min(self.power_weights[expert] + 1, memory)
            guard = self.fast_recent if expert in FAST_EXPERTS else self.slow_recent
            most = 6 * max(math.sqrt(self.powers[expert] / weight) + floor, guard)
            if weight >= memory:
                self.powers[expert] *= 1 - 1 / memory
            self.powers[expert] += min(abs(y - forecasts[expert]), most) ** 2
            self.power_weights[expert] = weight

    def learn_guards(self, fast, slow, fast_guarded, slow_guarded):
        fast, slow = abs(fast), abs(slow)
        if self.learned >= 20:
            fast, slow = min(fast, 6 * fast_guarded), min(slow, 6 * slow_guarded)
        self.fast_recent += (fast - self.fast_recent) / min(60, self.learned + 1)
        self.slow_recent += (slow - self.slow_recent) / min(200, self.learned + 1)

    def learn_values(self, y, floor):
        away = y - self.value_mean
        self.value_mean += away / self.weight
        if self.learned < 20:
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

    def learn_profiles(self, y, floor, is_settling, recurs):
        far = quick_far = math.inf
        if self.learned >= 20:
            far = 4 * (self.slow_scale + floor)
            quick_far = 8 * max(self.trial_errors[QUICK] + floor, self.trial_errors[SMOOTH])
        slow_far = math.inf if is_settling else far
        offset_rate = 0.02 if is_settling else 1 / 600
        level_rate = max(1 / 3000, 1 / (self.learned + 1), 0.02 if is_settling else 0.0)
        self.quick += 0.5 * (y - self.quick)
        self.smooth += 0.1 * clip(y - self.smooth, quick_far)
        self.level += level_rate * clip(y - self.level, max(slow_far, 4 * self.trial_errors[LEVEL]))

        bin_far = math.inf if recurs else far
        share = self.step * self.day_bins / 86400
        here = self.day[self.day_place]
        rate = 0.5 if recurs else 0.1
        self.learn_bin(here, self.day_stay, y - self.offsets[DAY_SLOW], bin_far, share, rate)
        self.day_stay += 1
        day = here[0]
        fast, slow = self.offsets[DAY_FAST], self.offsets[DAY_SLOW]
        self.offsets[DAY_FAST] += 0.08 * clip(y - day - fast, 2 * far)
        self.offsets[DAY_SLOW] += offset_rate * clip(y - day - slow, slow_far)

        share = self.step * self.week_bins / 604800
        here = self.week[self.week_place]
        rate = 0.5 if recurs else 0.25
        self.learn_bin(
            here, self.week_stay, y - day - self.offsets[WEEK_SLOW], bin_far, share, rate
        )
        self.week_stay += 1
        week = single(day + here[0])
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
