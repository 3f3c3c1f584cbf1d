"""Generates the values of operational metrics without incidents, and how an agent reports them."""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.series import Bools, Float64s, Int64s

DAY_SECONDS: Final = 86400.0
WEEK_SECONDS: Final = 604800.0
_MONDAY_SECONDS: Final = 345600.0  # 1970-01-01 was a Thursday
_BLIP_LENGTHS: Final = (0.0, 0.75, 0.15, 0.1)  # of 0, 1, 2 and 3 points


class GeneratedKind(StrEnum):
    """The kind of a generated metric: what it counts or measures."""

    REQUESTS = "requests"
    LATENCY = "latency"
    ERRORS = "errors"
    QUEUE = "queue"
    CPU = "cpu"
    DISK = "disk"
    BUSINESS = "business"
    COUNTER = "counter"


def _season(rng: np.random.Generator, times: Int64s, depth: float) -> Float64s:
    """Return a smooth daily and weekly season around 1, between about 1 - depth and 1 + depth.

    It has a trend of a few percent a week. About one day in forty is a holiday with the values of a
    Sunday, and about every second week a deploy changes the level permanently, by some percent.
    """
    seconds = times / 1000.0
    day = 2.0 * math.pi * (seconds % DAY_SECONDS) / DAY_SECONDS
    peak = rng.uniform(0.0, 2.0 * math.pi)
    shape = np.cos(day - peak) + rng.uniform(0.1, 0.5) * np.cos(2.0 * (day - peak) + rng.normal())
    number = (seconds // DAY_SECONDS).astype(np.int64)
    days = int(number[-1]) + 1 if len(times) else 0
    weekday = ((seconds + _MONDAY_SECONDS) % WEEK_SECONDS) // DAY_SECONDS
    is_off = weekday >= 5.0  # noqa: PLR2004  (Saturday)
    is_off |= (rng.random(days) < 1.0 / 40.0)[number]
    quieter = np.where(is_off, rng.uniform(0.5, 1.1), 1.0)
    each_day = (1.0 + 0.04 * rng.standard_normal(days))[number]
    weeks = (seconds - seconds[:1].sum()) / WEEK_SECONDS
    trend = 1.0 + rng.normal(0.0, 0.01) * weeks
    moved = np.cumsum(
        rng.normal(0.0, 0.05, len(times)) * (rng.random(len(times)) < _deploys(weeks))
    )
    rhythm: Float64s = (
        np.maximum(0.05, 1.0 + depth * shape / 1.3)
        * quieter
        * each_day
        * np.clip(trend + moved, 0.3, 3.0)
    )
    return rhythm


def _deploys(weeks: Float64s) -> float:
    """Return the probability of a deploy at a point, for one in two weeks on average."""
    return float(weeks[-1]) / 2.0 / len(weeks) if len(weeks) else 0.0


def red_noise(rng: np.random.Generator, count: int, keep: float) -> Float64s:
    """Return autoregressive noise of order 1 with coefficient `keep` and standard deviation 1."""
    fresh = rng.standard_normal(count) * math.sqrt(1.0 - keep * keep)
    result = np.empty(count)
    last = 0.0
    for place in range(count):
        last = keep * last + fresh[place]
        result[place] = last
    return result


def usual_noise(kind: GeneratedKind, values: Float64s) -> float:
    """Return the usual difference of neighbouring points, Poisson noise included."""
    if len(values) < 2:  # noqa: PLR2004  (a difference takes two)
        return 0.0
    level = float(np.median(values))
    counting = math.sqrt(level) if kind in (GeneratedKind.ERRORS, GeneratedKind.BUSINESS) else 0.0
    return math.hypot(float(np.median(np.abs(np.diff(values)))), counting) + 1e-3 * level


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a random number between `low` and `high` whose logarithm is uniformly distributed."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def disturb(rng: np.random.Generator, values: Float64s, noise: float, step_seconds: int) -> None:
    """Add unlabelled disturbances to the values in place; their amount differs by metric.

    They are noise from Student's t-distribution, hours with more noise, and blips such as those of
    retries, a cold cache or a garbage collection. Most blips are a single point, few last three.
    """
    count = len(values)
    weeks = count * step_seconds / WEEK_SECONDS
    values += noise * rng.uniform(0.0, 0.5) * rng.standard_t(3.0, count)
    for _ in range(rng.poisson(weeks * rng.uniform(0.0, 1.5))):
        at = int(rng.integers(count))
        length = int(log_uniform(rng, 1200.0, 14400.0) / step_seconds) + 1
        noisier = values[at : at + length]
        noisier += noise * rng.uniform(0.5, 2.0) * rng.standard_normal(len(noisier))
    often = log_uniform(rng, 0.3, 12.0) * math.sqrt(min(1.0, 60.0 / step_seconds))
    for at in rng.integers(count, size=rng.poisson(weeks * often) if count else 0):
        length = int(rng.choice(4, p=_BLIP_LENGTHS))
        direction = 1.0 if rng.random() < 0.75 else -1.0  # noqa: PLR2004  (three quarters)
        values[at : at + length] += direction * noise * log_uniform(rng, 3.0, 16.0)


def _requests(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(1.5, 4.5)
    rhythm = _season(rng, times, rng.uniform(0.2, 0.8))
    drift = 1.0 + 0.05 * red_noise(rng, len(times), 0.995)
    jitter = 1.0 + rng.uniform(0.01, 0.06) * rng.standard_normal(len(times))
    made: Float64s = np.maximum(level * rhythm * drift * jitter, 0.0)
    return made


def _latency(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.7, 2.7)
    rhythm = _season(rng, times, rng.uniform(0.05, 0.25))
    tail = np.exp(rng.uniform(0.04, 0.12) * rng.standard_normal(len(times)))
    slow = np.exp(0.05 * red_noise(rng, len(times), 0.98))
    made: Float64s = level * rhythm * tail * slow
    return made


def _errors(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(-1.5, 1.5)
    made: Float64s = level * _season(rng, times, rng.uniform(0.2, 0.6))
    return made


def _queue(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.5, 3.0)
    rhythm = _season(rng, times, rng.uniform(0.1, 0.5))
    waves = red_noise(rng, len(times), rng.uniform(0.6, 0.95))
    made: Float64s = level * rhythm * np.exp(0.25 * waves)
    return made


def _cpu(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = rng.uniform(8.0, 45.0)
    rhythm = _season(rng, times, rng.uniform(0.1, 0.5))
    busy = level * rhythm + rng.uniform(0.5, 2.5) * red_noise(rng, len(times), 0.7)
    # A nightly job lasts half an hour and comes every day.
    at = rng.uniform(0.0, DAY_SECONDS)
    in_job = ((times / 1000.0 - at) % DAY_SECONDS) < 1800.0  # noqa: PLR2004  (half an hour)
    made: Float64s = busy + np.where(in_job, rng.uniform(0.0, 25.0), 0.0)
    return made


def _disk(rng: np.random.Generator, times: Int64s) -> Float64s:
    size = 10.0 ** rng.uniform(1.5, 3.5)
    days = np.diff(times, append=times[-1:]) / (DAY_SECONDS * 1000.0)
    grown = np.cumsum(rng.gamma(2.0, 0.5, len(times)) * days)
    # Log rotation frees most of it each night; the rest accumulates.
    nightly = (times / 1000.0 % DAY_SECONDS) / DAY_SECONDS
    noise = 0.002 * red_noise(rng, len(times), 0.3)
    made: Float64s = size * (0.3 + 0.001 * grown + 0.02 * nightly + noise)
    return made


def _business(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.3, 2.3)
    made: Float64s = level * _season(rng, times, rng.uniform(0.4, 0.9))
    return made


VALUES_OF_KIND: Final[dict[GeneratedKind, Callable[[np.random.Generator, Int64s], Float64s]]] = {
    GeneratedKind.REQUESTS: _requests,
    GeneratedKind.LATENCY: _latency,
    GeneratedKind.ERRORS: _errors,
    GeneratedKind.QUEUE: _queue,
    GeneratedKind.CPU: _cpu,
    GeneratedKind.DISK: _disk,
    GeneratedKind.BUSINESS: _business,
    GeneratedKind.COUNTER: _requests,
}


# --- the values as reported ---


def reported_values(
    rng: np.random.Generator, kind: GeneratedKind, values: Float64s, step_seconds: int
) -> Float64s:
    """Return the values as a monitoring agent reports them: rounded, counted or accumulated."""
    reported: Float64s
    match kind:
        case GeneratedKind.REQUESTS | GeneratedKind.QUEUE:
            reported = np.round(values)
        case GeneratedKind.ERRORS | GeneratedKind.BUSINESS:
            reported = rng.poisson(np.clip(values, 0.0, 1e12)).astype(np.float64)
        case GeneratedKind.CPU:
            reported = np.clip(values, 0.0, 100.0).round(2)
        case GeneratedKind.COUNTER:
            reported = _cumulated(rng, np.round(values * step_seconds / 60.0))
        case _:
            reported = values.round(2)
    return reported


def _cumulated(rng: np.random.Generator, increases: Float64s) -> Float64s:
    """Return the running total, restarted from zero about once in 14,400 points."""
    total: Float64s = np.cumsum(increases)
    for at in np.flatnonzero(rng.random(len(total)) < 1.0 / 14400.0):
        total[at:] -= total[at] - increases[at]
    return total


def arrived(rng: np.random.Generator, times: Int64s, step_seconds: int) -> Bools:
    """Return which points arrive: one in 2,000 is lost, and about once a month up to two hours."""
    present = rng.random(len(times)) >= 0.0005  # noqa: PLR2004  (one in two thousand)
    if len(times):
        weeks = len(times) * step_seconds / WEEK_SECONDS
        for _ in range(rng.poisson(weeks / 4.0)):
            at = int(rng.integers(len(times)))
            present[at : at + int(rng.uniform(600.0, 7200.0) / step_seconds) + 1] = False
    return present
