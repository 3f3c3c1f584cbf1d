"""Generates metrics of many types in which nothing goes wrong, the same ones for the same seed."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.detection import clean_counts, clean_levels, clean_noise, clean_schedules
from anomify.detection.clean_schedules import Spans
from anomify.detection.generated_values import DAY_SECONDS, arrived
from anomify.detection.time_grid import TimeGrid
from anomify.series import Float64s, Int64s

Formula = Callable[[np.random.Generator, TimeGrid], Float64s | tuple[Float64s, Spans]]


class CleanType(StrEnum):
    """A type of metric without incidents; its value is a name for tables."""

    STEADY = "steady noise"
    ONE_SIDED = "one-sided noise"
    HEAVY_TAILED = "heavy-tailed noise"
    ZERO_MEAN = "values around zero"
    DRIFTING = "drifting level"
    SWITCHING = "switching levels"
    SAWTOOTH = "sawtooth"
    SCHEDULED = "scheduled jobs"
    CHANGED_SCHEDULE = "new or moved jobs"
    OFFICE_HOURS = "office hours"
    RETRY_BLIPS = "retry blips"
    COARSE_GAUGE = "coarse gauges"
    SHARE = "shares near an end"
    COUNTS = "counts"
    RARE_EVENTS = "rare events"
    COUNTER = "counters"


FORMULAS: Final[dict[CleanType, tuple[Formula, ...]]] = {
    CleanType.STEADY: (
        clean_noise.gaussian,
        clean_noise.autoregressive,
        clean_noise.daily_gaussian,
    ),
    CleanType.ONE_SIDED: (
        clean_noise.exponential,
        clean_noise.daily_exponential,
        clean_noise.above_base,
        clean_noise.gamma,
    ),
    CleanType.HEAVY_TAILED: (
        clean_noise.student_t,
        clean_noise.lognormal,
        clean_noise.daily_lognormal,
        clean_noise.pareto,
    ),
    CleanType.ZERO_MEAN: (
        clean_noise.gaussian_around_zero,
        clean_noise.autoregressive_around_zero,
        clean_noise.season_around_zero,
        clean_noise.signed_balance,
    ),
    CleanType.DRIFTING: (
        clean_noise.random_walk,
        clean_noise.growing,
        clean_noise.unequal_days,
    ),
    CleanType.SWITCHING: (
        clean_levels.on_and_off,
        clean_levels.few_levels,
        clean_levels.replicas,
    ),
    CleanType.SAWTOOTH: (
        clean_levels.regular_sawtooth,
        clean_levels.jittered_sawtooth,
        clean_levels.draining_sawtooth,
        clean_levels.collected_memory,
    ),
    CleanType.SCHEDULED: (
        clean_schedules.exact_nightly_job,
        clean_schedules.nightly_job,
        clean_schedules.hourly_job,
        clean_schedules.weekly_batch,
        clean_schedules.weekday_job,
    ),
    CleanType.CHANGED_SCHEDULE: (
        clean_schedules.new_nightly_job,
        clean_schedules.moved_nightly_job,
    ),
    CleanType.OFFICE_HOURS: (
        clean_schedules.office_load,
        clean_schedules.office_counts,
        clean_schedules.switched_by_clock,
        clean_schedules.weekly_peak,
    ),
    CleanType.RETRY_BLIPS: (
        clean_levels.unequal_blips,
        clean_levels.timeout_blips,
        clean_levels.blips_with_echoes,
    ),
    CleanType.COARSE_GAUGE: (
        clean_levels.idle_percent,
        clean_levels.busy_percent,
        clean_levels.quarter_cores,
        clean_levels.tenths,
    ),
    CleanType.SHARE: (
        clean_levels.success_percent,
        clean_levels.failed_percent,
        clean_levels.nearly_full,
    ),
    CleanType.COUNTS: (
        clean_counts.small_counts,
        clean_counts.large_counts,
        clean_counts.overdispersed_counts,
    ),
    CleanType.RARE_EVENTS: (
        clean_counts.events_in_hours,
        clean_counts.events_an_hour,
        clean_counts.events_a_minute,
        clean_counts.events_in_groups,
    ),
    CleanType.COUNTER: (
        clean_counts.restarting_counter,
        clean_counts.rare_counter,
        clean_counts.wrapping_counter,
        clean_counts.steady_counter,
    ),
}
"""The formulas of each type, which its metrics use in turn."""


@dataclass(frozen=True, slots=True)
class CleanMetric:
    """One metric without incidents.

    `formula` is the name of the function that made it; `name` holds the type, the formula and the
    number of the metric, with underscores for spaces.
    `times` int64 (n,), unix milliseconds, strictly ascending; `values` float64 (n,). `changes` are
    spans in unix milliseconds, both ends inclusive, in which a scheduled job is not yet known: an
    alert is right there, and a false one elsewhere.
    """

    name: str
    clean_type: CleanType
    formula: str
    times: Int64s
    values: Float64s
    changes: tuple[tuple[int, int], ...]


def generate_clean(
    seed: int,
    start_ms: int,
    step_seconds: int,
    days: float,
    types: Sequence[CleanType] = tuple(CleanType),
    *,
    count: int | None = None,
) -> list[CleanMetric]:
    """Return `count` metrics of these types in turn, one of each if it is not given.

    `start_ms` is in unix milliseconds. The metrics of one type use its formulas in turn. The same
    arguments give the same metrics, bit for bit on one platform. Each metric has a random stream of
    its own, so that neither other types nor another count change it. Single points are lost, and
    about once a month those of up to two hours.

    >>> [metric] = generate_clean(1, 0, 300, 7.0, [CleanType.SAWTOOTH])
    >>> metric.name, metric.changes
    ('sawtooth.regular_sawtooth.1', ())
    """
    number_of_metrics = len(types) if count is None else count
    times = start_ms + np.arange(int(days * DAY_SECONDS / step_seconds), dtype=np.int64) * (
        step_seconds * 1000
    )
    return [
        _make(seed, types[place % len(types)], place // len(types), times, step_seconds)
        for place in range(number_of_metrics)
    ]


def _make(
    seed: int, clean_type: CleanType, number: int, times: Int64s, step_seconds: int
) -> CleanMetric:
    # Not the place in the enumeration: a new type must not change the metrics of the others.
    rng = np.random.default_rng([seed, zlib.crc32(clean_type.name.encode()), number])
    formulas = FORMULAS[clean_type]
    formula = formulas[number % len(formulas)]
    made = formula(rng, TimeGrid(times / 1000.0, step_seconds))
    values, spans = made if isinstance(made, tuple) else (made, ())
    present = arrived(rng, times, step_seconds)
    changes = tuple((round(start * 1000.0), round(end * 1000.0)) for start, end in spans)
    name = f"{clean_type.value.replace(' ', '_')}.{formula.__name__}.{number + 1}"
    return CleanMetric(name, clean_type, formula.__name__, times[present], values[present], changes)
