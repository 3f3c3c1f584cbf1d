"""Generates labelled incidents and changes the values of a metric by them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from anomify.detection.generated_values import (
    DAY_SECONDS,
    WEEK_SECONDS,
    GeneratedKind,
    log_uniform,
)
from anomify.series import Float64s, Int64s

_QUIET_DAYS: Final = 2.0  # without incidents at the start: there is no usual course to differ from


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
class GeneratedIncident:
    """A labelled span of a metric: unix milliseconds, both ends inclusive, and a sentence on it."""

    start_ms: int
    end_ms: int
    kind: IncidentKind
    description: str


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


def plan_incidents(
    rng: np.random.Generator,
    kind: GeneratedKind,
    times: Int64s,
    step_seconds: int,
    incidents_a_week: float,
) -> list[GeneratedIncident]:
    """Return random incidents at least six hours apart, oldest first."""
    weeks = len(times) * step_seconds / WEEK_SECONDS
    quiet = int(_QUIET_DAYS * DAY_SECONDS / step_seconds)
    planned: list[GeneratedIncident] = []
    for _ in range(rng.poisson(weeks * incidents_a_week)):
        what = _FITTING[kind][int(rng.integers(len(_FITTING[kind])))]
        length = max(1, round(log_uniform(rng, *_MINUTES[what]) * 60.0 / step_seconds))
        if quiet + length >= len(times):
            continue
        first = int(rng.integers(quiet, len(times) - length))
        incident = GeneratedIncident(
            int(times[first]), int(times[first + length - 1]), what, _DESCRIPTIONS[what]
        )
        if all(not _near(incident, other) for other in planned):
            planned.append(incident)
    return sorted(planned, key=lambda incident: incident.start_ms)


def _near(one: GeneratedIncident, other: GeneratedIncident) -> bool:
    apart = 6 * 3600 * 1000
    return one.start_ms < other.end_ms + apart and other.start_ms < one.end_ms + apart


def apply_incident(
    rng: np.random.Generator,
    values: Float64s,
    times: Int64s,
    incident: GeneratedIncident,
    kind: GeneratedKind,
    noise: float,
) -> None:
    """Change the values in the span of an incident in place, by at least six times the noise."""
    first, last = np.searchsorted(times, (incident.start_ms, incident.end_ms))
    span = slice(int(first), int(last) + 1)
    count = span.stop - span.start
    usual = values[span].copy()
    # Half of the sizes are relative to the usual value, half to the usual noise.
    size = usual * log_uniform(rng, 0.5, 5.0)
    if rng.random() < 0.5 or kind is GeneratedKind.DISK:  # noqa: PLR2004  (half)
        size = np.full(count, noise * log_uniform(rng, 8.0, 60.0))
    size = np.maximum(size, 6.0 * noise + (3.0 if kind is GeneratedKind.ERRORS else 0.0))
    ragged = rng.uniform(0.6, 1.1, count)
    match incident.kind:
        case IncidentKind.SPIKE:
            decay = np.exp(-rng.uniform(0.0, 2.0) * np.linspace(0.0, 1.0, count))
            values[span] = usual + size * ragged * decay
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
