"""Generates operational metrics with labelled incidents, the same ones for the same seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.series import Bools, Float64s, Int64s

DAY_SECONDS: Final = 86400.0
WEEK_SECONDS: Final = 604800.0
_MONDAY_SECONDS: Final = 345600.0  # 1970-01-01 was a Thursday
_BLIP_LENGTHS: Final = (0.0, 0.75, 0.15, 0.1)  # of 0, 1, 2 and 3 points
_QUIET_DAYS: Final = 2.0  # without incidents at the start: there is no usual course to differ from


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


class IncidentKind(StrEnum):
    """The kind of a generated incident: how it changes the values."""

    SPIKE = "spike"
    DROP = "drop"
    OUTAGE = "outage"
    SHIFT = "shift"
    NOISE = "noise"
    FLATLINE = "flatline"
    RAMP = "ramp"


@dataclass(frozen=True, slots=True)
class Incident:
    """A labelled span of a metric: unix milliseconds, both ends inclusive, and a sentence on it."""

    start_ms: int
    end_ms: int
    kind: IncidentKind
    description: str


@dataclass(frozen=True, slots=True)
class GeneratedMetric:
    """One metric with its incidents, oldest first.

    `times` int64 (n,), unix milliseconds, strictly ascending; `values` float64 (n,), in `unit`.
    """

    name: str
    kind: GeneratedKind
    unit: str
    times: Int64s
    values: Float64s
    incidents: tuple[Incident, ...]


def generate(
    seed: int,
    start_ms: int,
    step_seconds: int,
    days: float,
    kinds: Sequence[GeneratedKind] = tuple(GeneratedKind),
    *,
    count: int | None = None,
    incidents_a_week: float = 0.5,
) -> list[GeneratedMetric]:
    """Return `count` metrics of these kinds in turn, one of each if it is not given.

    `start_ms` is in unix milliseconds. The same arguments give the same metrics, bit for bit on one
    platform. Each metric draws from a random stream of its own, so that another span or count keeps
    its level and seasons, but not its noise. Values have daily and weekly seasons, noise that grows
    with the level, drift, holidays, deploys, unlabelled bursts and gaps. Incidents, on average
    `incidents_a_week`, do not overlap and never lie in the first two days.

    >>> [metric] = generate(1, 0, 3600, 14.0, [GeneratedKind.CPU])
    >>> metric.name, metric.unit, len(metric.times) == len(metric.values)
    ('shop.checkout.cpu_busy', '%', True)
    """
    number_of_metrics = len(kinds) if count is None else count
    times = start_ms + np.arange(int(days * DAY_SECONDS / step_seconds), dtype=np.int64) * (
        step_seconds * 1000
    )
    metrics: list[GeneratedMetric] = []
    for place in range(number_of_metrics):
        kind = kinds[place % len(kinds)]
        rng = np.random.default_rng([seed, place, list(GeneratedKind).index(kind)])
        metrics.append(_make(rng, kind, place // len(kinds), times, step_seconds, incidents_a_week))
    return metrics


def _make(
    rng: np.random.Generator,
    kind: GeneratedKind,
    number: int,
    times: Int64s,
    step_seconds: int,
    incidents_a_week: float,
) -> GeneratedMetric:
    make = _MAKERS[kind]
    name, unit = _name(kind, number)
    base = make(rng, times)
    noise = _noise_scale(kind, base)
    _disturb(rng, base, noise, step_seconds)
    incidents = _plan_incidents(rng, kind, times, step_seconds, incidents_a_week)
    for incident in incidents:
        _apply_incident(rng, base, times, incident, kind, noise)
    values = _report(rng, kind, np.maximum(base, 0.0), step_seconds)
    present = _present(rng, times, step_seconds)
    return GeneratedMetric(name, kind, unit, times[present], values[present], tuple(incidents))


# --- names ---

_SERVICES: Final = (
    "shop.checkout", "shop.search", "shop.cart", "shop.catalogue", "payments.card", "payments.bank",
    "accounts.login", "accounts.signup", "media.images", "media.video", "mail.outbound",
    "api.public", "api.partner", "warehouse.stock", "warehouse.shipping", "ads.bidding",
)  # fmt: skip
_NOUNS: Final = {
    GeneratedKind.REQUESTS: ("requests", "requests/min"),
    GeneratedKind.LATENCY: ("latency_p95", "ms"),
    GeneratedKind.ERRORS: ("errors", "errors/min"),
    GeneratedKind.QUEUE: ("queue_depth", "jobs"),
    GeneratedKind.CPU: ("cpu_busy", "%"),
    GeneratedKind.DISK: ("disk_used", "GB"),
    GeneratedKind.BUSINESS: ("orders", "orders/min"),
    GeneratedKind.COUNTER: ("requests_total", "requests"),
}


def _name(kind: GeneratedKind, number: int) -> tuple[str, str]:
    noun, unit = _NOUNS[kind]
    service = _SERVICES[number % len(_SERVICES)]
    again = number // len(_SERVICES)
    return f"{service}.{noun}" + (f".host{again + 1}" if again else ""), unit


# --- the values without incidents ---


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


def _red_noise(rng: np.random.Generator, count: int, keep: float) -> Float64s:
    """Return autoregressive noise of order 1 with coefficient `keep` and standard deviation 1."""
    fresh = rng.standard_normal(count) * math.sqrt(1.0 - keep * keep)
    result = np.empty(count)
    last = 0.0
    for place in range(count):
        last = keep * last + fresh[place]
        result[place] = last
    return result


def _noise_scale(kind: GeneratedKind, values: Float64s) -> float:
    """Return the usual difference of neighbouring points, Poisson noise included."""
    if len(values) < 2:  # noqa: PLR2004  (a difference takes two)
        return 0.0
    level = float(np.median(values))
    counting = math.sqrt(level) if kind in (GeneratedKind.ERRORS, GeneratedKind.BUSINESS) else 0.0
    return math.hypot(float(np.median(np.abs(np.diff(values)))), counting) + 1e-3 * level


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _disturb(rng: np.random.Generator, values: Float64s, noise: float, step_seconds: int) -> None:
    """Add unlabelled disturbances to the values in place; their amount differs by metric.

    They are noise from Student's t-distribution, hours with more noise, and blips such as those of
    retries, a cold cache or a garbage collection. Most blips are a single point, few last three.
    """
    count = len(values)
    weeks = count * step_seconds / WEEK_SECONDS
    values += noise * rng.uniform(0.0, 0.5) * rng.standard_t(3.0, count)
    for _ in range(rng.poisson(weeks * rng.uniform(0.0, 1.5))):
        at = int(rng.integers(count))
        length = int(_log_uniform(rng, 1200.0, 14400.0) / step_seconds) + 1
        noisier = values[at : at + length]
        noisier += noise * rng.uniform(0.5, 2.0) * rng.standard_normal(len(noisier))
    often = _log_uniform(rng, 0.3, 12.0) * math.sqrt(min(1.0, 60.0 / step_seconds))
    for at in rng.integers(count, size=rng.poisson(weeks * often) if count else 0):
        length = int(rng.choice(4, p=_BLIP_LENGTHS))
        direction = 1.0 if rng.random() < 0.75 else -1.0  # noqa: PLR2004  (three quarters)
        values[at : at + length] += direction * noise * _log_uniform(rng, 3.0, 16.0)


def _requests(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(1.5, 4.5)
    rhythm = _season(rng, times, rng.uniform(0.2, 0.8))
    drift = 1.0 + 0.05 * _red_noise(rng, len(times), 0.995)
    jitter = 1.0 + rng.uniform(0.01, 0.06) * rng.standard_normal(len(times))
    made: Float64s = np.maximum(level * rhythm * drift * jitter, 0.0)
    return made


def _latency(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.7, 2.7)
    rhythm = _season(rng, times, rng.uniform(0.05, 0.25))
    tail = np.exp(rng.uniform(0.04, 0.12) * rng.standard_normal(len(times)))
    slow = np.exp(0.05 * _red_noise(rng, len(times), 0.98))
    made: Float64s = level * rhythm * tail * slow
    return made


def _errors(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(-1.5, 1.5)
    made: Float64s = level * _season(rng, times, rng.uniform(0.2, 0.6))
    return made


def _queue(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.5, 3.0)
    rhythm = _season(rng, times, rng.uniform(0.1, 0.5))
    waves = _red_noise(rng, len(times), rng.uniform(0.6, 0.95))
    made: Float64s = level * rhythm * np.exp(0.25 * waves)
    return made


def _cpu(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = rng.uniform(8.0, 45.0)
    rhythm = _season(rng, times, rng.uniform(0.1, 0.5))
    busy = level * rhythm + rng.uniform(0.5, 2.5) * _red_noise(rng, len(times), 0.7)
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
    noise = 0.002 * _red_noise(rng, len(times), 0.3)
    made: Float64s = size * (0.3 + 0.001 * grown + 0.02 * nightly + noise)
    return made


def _business(rng: np.random.Generator, times: Int64s) -> Float64s:
    level = 10.0 ** rng.uniform(0.3, 2.3)
    made: Float64s = level * _season(rng, times, rng.uniform(0.4, 0.9))
    return made


_MAKERS: Final[dict[GeneratedKind, Callable[[np.random.Generator, Int64s], Float64s]]] = {
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


def _report(
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


def _present(rng: np.random.Generator, times: Int64s, step_seconds: int) -> Bools:
    """Return which points arrive: one in 2,000 is lost, and about once a month up to two hours."""
    present = rng.random(len(times)) >= 0.0005  # noqa: PLR2004  (one in two thousand)
    if len(times):
        weeks = len(times) * step_seconds / WEEK_SECONDS
        for _ in range(rng.poisson(weeks / 4.0)):
            at = int(rng.integers(len(times)))
            present[at : at + int(rng.uniform(600.0, 7200.0) / step_seconds) + 1] = False
    return present


# --- incidents ---

_FITTING: Final = {
    GeneratedKind.REQUESTS: (
        IncidentKind.SPIKE, IncidentKind.DROP, IncidentKind.OUTAGE, IncidentKind.FLATLINE,
    ),
    GeneratedKind.LATENCY: (
        IncidentKind.SPIKE, IncidentKind.SHIFT, IncidentKind.NOISE, IncidentKind.RAMP,
    ),
    GeneratedKind.ERRORS: (IncidentKind.SPIKE, IncidentKind.SHIFT),
    GeneratedKind.QUEUE: (IncidentKind.RAMP, IncidentKind.SPIKE),
    GeneratedKind.CPU: (
        IncidentKind.SPIKE, IncidentKind.SHIFT, IncidentKind.FLATLINE, IncidentKind.NOISE,
    ),
    GeneratedKind.DISK: (IncidentKind.RAMP, IncidentKind.DROP),
    GeneratedKind.BUSINESS: (IncidentKind.DROP, IncidentKind.OUTAGE),
    GeneratedKind.COUNTER: (IncidentKind.SPIKE, IncidentKind.DROP, IncidentKind.OUTAGE),
}  # fmt: skip
_DESCRIPTIONS: Final = {
    IncidentKind.SPIKE: "A sudden rise: more than at this hour of other days.",
    IncidentKind.DROP: "A part is missing: less than at this hour of other days.",
    IncidentKind.OUTAGE: "A complete outage: the value was zero.",
    IncidentKind.SHIFT: "A deploy changed the level, until it was rolled back.",
    IncidentKind.NOISE: "The value varied much more than usual.",
    IncidentKind.FLATLINE: "The last value was reported again and again.",
    IncidentKind.RAMP: "The value grew steadily until the cause was fixed.",
}
_MINUTES: Final = {
    IncidentKind.SPIKE: (2.0, 40.0),
    IncidentKind.DROP: (3.0, 120.0),
    IncidentKind.OUTAGE: (3.0, 60.0),
    IncidentKind.SHIFT: (60.0, 360.0),
    IncidentKind.NOISE: (40.0, 240.0),
    IncidentKind.FLATLINE: (60.0, 360.0),
    IncidentKind.RAMP: (60.0, 300.0),
}


def _plan_incidents(
    rng: np.random.Generator,
    kind: GeneratedKind,
    times: Int64s,
    step_seconds: int,
    incidents_a_week: float,
) -> list[Incident]:
    """Return random incidents at least six hours apart, oldest first."""
    weeks = len(times) * step_seconds / WEEK_SECONDS
    quiet = int(_QUIET_DAYS * DAY_SECONDS / step_seconds)
    planned: list[Incident] = []
    for _ in range(rng.poisson(weeks * incidents_a_week)):
        what = _FITTING[kind][int(rng.integers(len(_FITTING[kind])))]
        length = max(1, round(_log_uniform(rng, *_MINUTES[what]) * 60.0 / step_seconds))
        if quiet + length >= len(times):
            continue
        first = int(rng.integers(quiet, len(times) - length))
        incident = Incident(
            int(times[first]), int(times[first + length - 1]), what, _DESCRIPTIONS[what]
        )
        if all(not _near(incident, other) for other in planned):
            planned.append(incident)
    return sorted(planned, key=lambda incident: incident.start_ms)


def _near(one: Incident, other: Incident) -> bool:
    apart = 6 * 3600 * 1000
    return one.start_ms < other.end_ms + apart and other.start_ms < one.end_ms + apart


def _apply_incident(
    rng: np.random.Generator,
    values: Float64s,
    times: Int64s,
    incident: Incident,
    kind: GeneratedKind,
    noise: float,
) -> None:
    """Change the values in the span of an incident in place, by at least six times the noise."""
    first, last = np.searchsorted(times, (incident.start_ms, incident.end_ms))
    span = slice(int(first), int(last) + 1)
    count = span.stop - span.start
    usual = values[span].copy()
    # Half of the sizes are relative to the usual value, half to the usual noise.
    size = usual * _log_uniform(rng, 0.5, 5.0)
    if rng.random() < 0.5 or kind is GeneratedKind.DISK:  # noqa: PLR2004  (half)
        size = np.full(count, noise * _log_uniform(rng, 8.0, 60.0))
    size = np.maximum(size, 6.0 * noise + (3.0 if kind is GeneratedKind.ERRORS else 0.0))
    ragged = rng.uniform(0.6, 1.1, count)
    match incident.kind:
        case IncidentKind.SPIKE:
            calmer = np.exp(-rng.uniform(0.0, 2.0) * np.linspace(0.0, 1.0, count))
            values[span] = usual + size * ragged * calmer
        case IncidentKind.DROP:
            values[span] = np.maximum(usual - size * ragged, 0.02 * usual)
        case IncidentKind.OUTAGE:
            values[span] = 0.0
        case IncidentKind.SHIFT:
            values[span] = usual + size
        case IncidentKind.NOISE:
            values[span] = usual + rng.uniform(0.5, 1.0) * size * rng.standard_normal(count)
        case IncidentKind.FLATLINE:
            values[span] = usual[0]
        case IncidentKind.RAMP:
            values[span] = usual + 2.0 * size * np.linspace(0.0, 1.0, count)
