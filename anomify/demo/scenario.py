"""The generated metrics and incidents of the demo, deterministic for a given start."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anomify.detection.generator import GeneratedMetric, generate

SEED = 20_261_120
METRICS = 48
STEP_SECONDS = 300
PAST_DAYS = 30
# The length of the generated series; afterwards there are no new points.
FUTURE_DAYS = 60
DAY_MS = 86_400_000


@dataclass(frozen=True)
class ScenarioIncident:
    """An incident: its metric, start and end, and a description."""

    metric: str
    from_ms: int
    until_ms: int
    kind: str
    description: str


@dataclass(frozen=True)
class Scenario:
    """48 metrics, from thirty days before the demo was created."""

    start_ms: int

    @classmethod
    def founded_at(cls, moment_ms: int) -> "Scenario":
        """Return the scenario of a demo that starts at this time."""
        step_ms = STEP_SECONDS * 1000
        return cls(moment_ms // step_ms * step_ms - PAST_DAYS * DAY_MS)

    @cached_property
    def metrics(self) -> Sequence[GeneratedMetric]:
        """Return every metric with its whole generated series."""
        return generate(
            SEED, self.start_ms, STEP_SECONDS, days=PAST_DAYS + FUTURE_DAYS, count=METRICS
        )

    def points(self, after_ms: int, until_ms: int) -> Iterator[tuple[str, int, float]]:
        """Yield name, time and value of the points after one time, up to another."""
        for metric in self.metrics:
            first, end = np.searchsorted(metric.times, (after_ms, until_ms), side="right")
            times = metric.times[first:end].tolist()
            values = metric.values[first:end].tolist()
            for time_ms, value in zip(times, values, strict=True):
                yield metric.name, time_ms, value

    def incidents(self, until_ms: int) -> list[ScenarioIncident]:
        """Return the incidents so far, the oldest first."""
        found = [
            ScenarioIncident(
                metric.name,
                incident.start_ms,
                incident.end_ms,
                incident.kind.value,
                incident.description,
            )
            for metric in self.metrics
            for incident in metric.incidents
            if incident.start_ms <= until_ms
        ]
        return sorted(found, key=lambda incident: (incident.from_ms, incident.metric))
