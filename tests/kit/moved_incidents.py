"""Generated incidents among many metrics: a cause moves first, effects follow, others by chance."""

from dataclasses import dataclass

import numpy as np

from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.metric.moved import UnusualPoints
from anomify.pipeline.unusual import UnusualFinder

MINUTE = 60_000
START = 1_790_812_800_000


# Times and values.
Points = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Incident:
    """Which metric caused it and when, what moved, and the window that is asked about."""

    cause: int
    at: int
    changed: dict[int, Points]
    from_ms: int
    until_ms: int


class Metrics:
    """Metrics of five kinds without incidents, a point a minute, and what is unusual about them."""

    def __init__(self, count: int, days: float, seed: int) -> None:
        """Generate and judge the metrics."""
        generator = np.random.default_rng(seed)
        points = int(days * 1440)
        self.times = START + MINUTE * np.arange(points, dtype=np.int64)
        hours = np.arange(points) / 60.0
        self.values: list[np.ndarray] = []
        for number in range(count):
            noise = generator.normal(0.0, 1.0, points)
            level = 10.0 ** generator.uniform(0.0, 4.0)
            match number % 5:
                case 0:
                    values = level * (1.0 + 0.05 * noise)
                case 1:
                    wave = np.sin(2.0 * np.pi * (hours / 24.0 + generator.random()))
                    values = level * (1.0 + 0.4 * wave + 0.04 * noise)
                case 2:
                    values = level * generator.lognormal(0.0, 0.4, points)
                case 3:
                    values = generator.poisson(min(level, 300.0), points).astype(float)
                case _:
                    values = level * (
                        1.0 + 0.02 * np.convolve(noise, 0.9 ** np.arange(40))[:points]
                    )
            self.values.append(values)
        self.unusual = [
            unusual_of(number, self.points_of(number)) for number in range(len(self.values))
        ]

    def points_of(self, number: int) -> Points:
        return self.times, self.values[number]

    def incident(self, generator: np.random.Generator) -> Incident:
        """Generate an incident: a cause, 5 to 40 effects and some metrics that move by chance."""
        points = len(self.times)
        at = int(generator.integers(points * 2 // 3, points - 180))
        effects = int(generator.integers(5, 41))
        others = int(generator.integers(5, 16))
        chosen = generator.choice(len(self.values), 1 + effects + others, replace=False).tolist()
        length_ms = int(10 ** generator.uniform(1.0, np.log10(1440.0))) * MINUTE
        # The incident begins in the first half of the window.
        from_ms = int(self.times[at]) - int(generator.uniform(0.1, 0.5) * length_ms)
        changed = {chosen[0]: self._moved(chosen[0], at, generator)}
        for number in chosen[1 : 1 + effects]:
            delay = int(np.ceil(generator.exponential(4.0))) + 1
            changed[number] = self._moved(number, at + delay, generator)
        for number in chosen[1 + effects :]:
            moment = (from_ms - START) // MINUTE + int(generator.integers(0, length_ms // MINUTE))
            changed[number] = self._moved(number, min(moment, points - 30), generator)
        return Incident(chosen[0], at, changed, from_ms, from_ms + length_ms)

    def _moved(self, number: int, at: int, generator: np.random.Generator) -> Points:
        """Return a metric's values with a deviation from `at` on: at once, or within minutes."""
        values: np.ndarray = self.values[number].copy()
        length = int(generator.integers(5, 120))
        size = (
            generator.uniform(6.0, 30.0) * np.std(np.diff(values)) * generator.choice([-1.0, 1.0])
        )
        shape = np.ones(length)
        if generator.random() < 0.3:
            ramp = min(int(generator.integers(2, 6)), length)
            shape[:ramp] = np.arange(1, ramp + 1) / ramp
        end = min(at + length, len(values))
        values[at:end] += size * shape[: end - at]
        if self.values[number].min() >= 0.0:
            np.maximum(values, 0.0, out=values)
        return self.times, values


def unusual_of(number: int, points: Points) -> UnusualPoints:
    """Return the unusual points of a metric."""
    times, values = points
    verdicts = judge(EngineState.new(1), np.zeros(len(values), int), times, values)
    return UnusualFinder().find(np.full(len(values), number), times, verdicts)
