"""Generates operational metrics with labelled incidents, the same ones for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from anomify.detection.generated_incidents import GeneratedIncident, apply_incident, plan_incidents
from anomify.detection.generated_values import (
    DAY_SECONDS,
    VALUES_OF_KIND,
    GeneratedKind,
    arrived,
    disturb,
    reported_values,
    usual_noise,
)
from anomify.series import Float64s, Int64s


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
    incidents: tuple[GeneratedIncident, ...]


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
    make = VALUES_OF_KIND[kind]
    name, unit = _name(kind, number)
    base = make(rng, times)
    noise = usual_noise(kind, base)
    disturb(rng, base, noise, step_seconds)
    incidents = plan_incidents(rng, kind, times, step_seconds, incidents_a_week)
    for incident in incidents:
        apply_incident(rng, base, times, incident, kind, noise)
    values = reported_values(rng, kind, np.maximum(base, 0.0), step_seconds)
    present = arrived(rng, times, step_seconds)
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
