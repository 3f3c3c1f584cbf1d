"""Measures how fast newest points are judged, beside Skyline's nine rules in the same run.

    python benchmarks/detection/scoring.py [--metrics 10000]

Ours: one call judges the newest point of each metric, whose state has seen a week of one-minute
points. The anchor: the rules of Etsy's Skyline (github.com/etsy/skyline), in numpy, on the same
week of a metric, and on its last day beside it; its storage, decoding and processes are left out,
so its measured cost is too low rather than too high. All on one core; CPU seconds of this process,
median of seven.
"""

import argparse
import math
import time
from collections.abc import Callable
from statistics import NormalDist, median

import numpy as np

from anomify.detection.compile import compile_kernels
from anomify.detection.detector import judge
from anomify.detection.state import SLOT, EngineState

WEEK_POINTS = 7 * 1440
DAY_POINTS = 1440
START_MS = 1_790_553_600_000
MINUTE_MS = 60_000
RUNS = 7
LAST_MINUTE = WEEK_POINTS + RUNS
ANCHOR_METRICS = 200


def main() -> None:
    """Print metrics a second for both, bytes a metric, and the time to fill a week back."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--metrics", type=int, default=10_000)
    count = parser.parse_args().metrics
    compile_kernels()
    rng = np.random.default_rng(1)
    slots = np.arange(count)
    state, week = filled(count, rng)
    newest = [(minute, values_at(minute, count, rng)) for minute in range(WEEK_POINTS, LAST_MINUTE)]
    coming = iter(newest)

    def judge_newest() -> None:
        minute, values = next(coming)
        judge(state, slots, np.full(count, START_MS + minute * MINUTE_MS), values)

    ours = cpu_seconds(judge_newest)
    anchor_rates = {points: skyline_rate(week[-points:]) for points in (WEEK_POINTS, DAY_POINTS)}
    one = week[:, 0].copy()
    times = START_MS + np.arange(WEEK_POINTS) * MINUTE_MS
    zeros = np.zeros(WEEK_POINTS, np.int64)
    back_fill = cpu_seconds(lambda: judge(EngineState.new(1), zeros, times, one))
    snapshot = state.extract(slots[:100])
    ours_rate = count / ours
    print(f"newest point of {count:,} metrics: {1000 * ours:.1f} ms of CPU")
    print(f"ours: {ours_rate:,.0f} metrics a CPU-second")
    for points, rate in anchor_rates.items():
        print(f"Skyline's rules on {points:,} points: {rate:,.0f} metrics a CPU-second")
        print(f"ratio: {ours_rate / rate:,.0f}")
    print(f"state: {SLOT.itemsize:,} bytes a metric, {len(snapshot) // 100:,} in a snapshot")
    print(f"back-fill of a week of one metric: {1000 * back_fill:.1f} ms of CPU")


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the median CPU time of seven runs."""
    taken = []
    for _ in range(RUNS):
        started = time.process_time()
        run()
        taken.append(time.process_time() - started)
    return median(taken)


def values_at(minute: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return one value of each metric: a daily season with noise, or counts."""
    rhythm = 100.0 + 40.0 * math.sin(2 * math.pi * minute / 1440)
    values = rhythm + rng.normal(0.0, 3.0, count)
    values[::3] = rng.poisson(rhythm / 10, len(values[::3]))
    return values


def filled(count: int, rng: np.random.Generator) -> tuple[EngineState, np.ndarray]:
    """Return a state that has seen a week of every slot, and the values of the first slots.

    Two hundred metrics are judged; the other slots are copies of their states.
    """
    values = np.array([values_at(minute, ANCHOR_METRICS, rng) for minute in range(WEEK_POINTS)])
    judged_slots = EngineState.new(ANCHOR_METRICS)
    judge(
        judged_slots,
        np.tile(np.arange(ANCHOR_METRICS), WEEK_POINTS),
        START_MS + np.repeat(np.arange(WEEK_POINTS), ANCHOR_METRICS) * MINUTE_MS,
        values.ravel(),
    )
    return EngineState(judged_slots.slots[np.arange(count) % ANCHOR_METRICS]), values


def skyline_rate(values: np.ndarray) -> float:
    """Return how many metrics a CPU-second the rules judge on these points, a column a metric."""
    windows = values.T[:ANCHOR_METRICS].copy()
    times = (np.arange(len(values)) * 60).astype(np.float64)
    return len(windows) / cpu_seconds(lambda: [skyline_votes(times, window) for window in windows])


def skyline_votes(times: np.ndarray, values: np.ndarray) -> int:
    """Count which of the nine rules fire on the newest point."""
    tail = values[-3:].mean()
    mean, std = values.mean(), values.std()
    rules = (
        histogram_bins(values, tail),
        first_hour_average(times, values, tail),
        abs(tail - mean) > 3 * std,
        grubbs(values, tail),
        False,  # ks_test asks for 20 points in ten minutes: at this step it cannot fire
        mean_subtraction_cumulation(values),
        median_absolute_deviation(values),
        stddev_from_moving_average(values),
        least_squares(times, values),
    )
    return sum(map(bool, rules))


def histogram_bins(values: np.ndarray, tail: float) -> bool:
    """Return whether the tail lies in a bin of at most 20 points."""
    counts, edges = np.histogram(values, bins=15)
    for place, held in enumerate(counts):
        if held <= 20:
            if place == 0:
                if tail <= edges[0]:
                    return True
            elif edges[place] <= tail < edges[place + 1]:
                return True
    return False


def first_hour_average(times: np.ndarray, values: np.ndarray, tail: float) -> bool:
    """Compare with the window's first hour."""
    hour = values[times <= times[0] + 3600]
    return abs(tail - hour.mean()) > 3 * hour.std()


def grubbs(values: np.ndarray, tail: float) -> bool:
    """Test upwards only, as the original does; the normal stands for t with 1,438 degrees."""
    count = len(values)
    critical = NormalDist().inv_cdf(1 - 0.05 / (2 * count)) ** 2
    limit = (count - 1) / math.sqrt(count) * math.sqrt(critical / (count - 2 + critical))
    return (tail - values.mean()) / values.std() > limit


def mean_subtraction_cumulation(values: np.ndarray) -> bool:
    """Compare the last value with all before it."""
    before = values[:-1]
    return abs(values[-1] - before.mean()) > 3 * before.std()


def median_absolute_deviation(values: np.ndarray) -> bool:
    """Compare the last value with the median, in median deviations."""
    deviations = np.abs(values - np.median(values))
    middle = np.median(deviations)
    return middle > 0 and deviations[-1] / middle > 6


def stddev_from_moving_average(values: np.ndarray) -> bool:
    """Compare with an exponential mean of centre of mass 50."""
    weights = (50 / 51) ** np.arange(len(values) - 1, -1, -1.0)
    weights /= weights.sum()
    mean = weights @ values
    return abs(values[-1] - mean) > 3 * math.sqrt(weights @ (values - mean) ** 2)


def least_squares(times: np.ndarray, values: np.ndarray) -> bool:
    """Compare the last residuals of a straight line with all of them."""
    design = np.vstack([times, np.ones(len(times))]).T
    slope, offset = np.linalg.lstsq(design, values, rcond=None)[0]
    residuals = values - slope * times - offset
    std, last = residuals.std(), residuals[-3:].mean()
    return abs(last) > 3 * std and round(std) != 0 and round(last) != 0


if __name__ == "__main__":
    main()
