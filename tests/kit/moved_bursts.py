"""Incidents of another kind than `moved_incidents`: six shapes of cause, 5 to 200 followers.

The cause begins to move 0 to 10 minutes before the first follower, in any part of the window but
its last third. Up to 20 unrelated metrics move in the window, at most one in two minutes.
"""

from typing import Final

import numpy as np

from tests.kit.moved_incidents import MINUTE, START, Incident, Points, unusual_of

SHAPES: Final = ("step", "ramp", "spike", "zero", "noise", "silence")
FOLLOWER_SHARES: Final = (0.35, 0.25, 0.15, 0.1, 0.1, 0.05)


class BurstMetrics:
    """Metrics of ten kinds without incidents, a point a minute, each at its own second."""

    def __init__(self, count: int, days: float, seed: int) -> None:
        """Generate and judge the metrics."""
        generator = np.random.default_rng(seed)
        self.length = int(days * 1440)
        self.times = [
            START + int(generator.integers(0, 60)) * 1000 + MINUTE * np.arange(self.length)
            for _ in range(count)
        ]
        self.values = [self._clean(number, generator) for number in range(count)]
        self.unusual = [unusual_of(number, self.points_of(number)) for number in range(count)]

    def points_of(self, number: int) -> Points:
        return self.times[number], self.values[number]

    def _clean(self, number: int, generator: np.random.Generator) -> np.ndarray:
        n = self.length
        hours = (self.times[number] - START) / 3_600_000
        level = 10.0 ** generator.uniform(0.0, 4.0)
        noise = generator.normal(0.0, 1.0, n)
        wave = np.sin(2.0 * np.pi * (hours / 24.0 + generator.random()))
        values: np.ndarray
        match number % 10:
            case 0:
                values = level * (1.0 + 0.03 * noise)
            case 1:
                values = level * (1.0 + 0.6 * np.maximum(wave, -0.5) + 0.05 * noise)
            case 2:
                values = level * generator.lognormal(0.0, 0.7, n)
            case 3:
                values = level * 0.1 * (1.0 + generator.pareto(2.5, n))
            case 4:
                values = generator.poisson(generator.uniform(0.5, 8.0), n).astype(float)
            case 5:
                steps = generator.standard_t(3, n)
                values = level * (1.0 + 0.02 * np.convolve(steps, 0.8 ** np.arange(30))[:n])
            case 6:
                # Mostly nothing.
                is_some = generator.random(n) < 0.1
                values = np.where(is_some, np.ceil(generator.exponential(3.0, n)), 0.0)
            case 7:
                values = np.clip(30.0 + 20.0 * wave + 4.0 * noise, 0.0, 100.0)
            case 8:
                # Memory that is freed now and then.
                period = int(generator.integers(200, 700))
                filled = (np.arange(n) + int(generator.integers(period))) % period / period
                values = level * (1.0 + 0.5 * filled + 0.01 * noise)
            case _:
                twice = np.sin(2.0 * np.pi * hours / 12.0)
                values = level * np.exp(0.5 * wave + 0.3 * twice + 0.1 * noise)
        return values

    def incident(self, generator: np.random.Generator) -> Incident:
        """Generate an incident: a cause, its followers, and metrics that move by chance."""
        n = self.length
        at = START + int(generator.integers(n * 2 // 3, n - 180)) * MINUTE
        at += int(generator.integers(0, MINUTE))
        most = min(200, len(self.values) // 2)
        followers = round(10 ** generator.uniform(np.log10(5), np.log10(most)))
        minutes = 10 ** generator.uniform(1.0, np.log10(1440.0))
        others = int(generator.integers(0, min(20, int(minutes / 2)) + 1))
        from_ms = int(at - generator.uniform(0.1, 0.7) * minutes * MINUTE)
        until_ms = int(from_ms + minutes * MINUTE)
        shape = str(generator.choice(SHAPES))
        chosen = self._chosen(1 + followers + others, generator)
        # Where there is seldom anything a drop to nothing cannot be seen.
        while shape == "zero" and np.quantile(self.values[chosen[0]], 0.05) <= 0.0:
            chosen = self._chosen(1 + followers + others, generator)
        changed = {
            chosen[0]: self._moved(chosen[0], at, shape, generator.uniform(6.0, 40.0), generator)
        }
        lead = generator.uniform(0.0, 10.0) * MINUTE
        delay = generator.uniform(0.5, 6.0) * MINUTE
        for number in chosen[1 : 1 + followers]:
            shape = str(generator.choice(SHAPES, p=FOLLOWER_SHARES))
            moment = int(at + lead + generator.exponential(delay))
            size = generator.uniform(3.0, 30.0)
            changed[number] = self._moved(number, moment, shape, size, generator)
        for number in chosen[1 + followers :]:
            moment = int(from_ms + generator.random() * minutes * MINUTE)
            shape = str(generator.choice(SHAPES))
            size = generator.uniform(5.0, 25.0)
            changed[number] = self._moved(number, moment, shape, size, generator)
        return Incident(chosen[0], at, changed, from_ms, until_ms)

    def _chosen(self, count: int, generator: np.random.Generator) -> list[int]:
        chosen: list[int] = generator.choice(len(self.values), count, replace=False).tolist()
        return chosen

    def _moved(
        self, number: int, at_ms: int, shape: str, size: float, generator: np.random.Generator
    ) -> Points:
        """Return a metric's points with a deviation of some size from a time on."""
        times, values = self.times[number], self.values[number].copy()
        first = int(np.searchsorted(times, at_ms))
        end = min(first + int(generator.integers(10, 180)), len(values))
        size *= np.std(np.diff(values)) / np.sqrt(2.0)
        sign = generator.choice([-1.0, 1.0], p=[0.3, 0.7])
        match shape:
            case "step":
                values[first:end] += sign * size
            case "ramp":
                rise = int(generator.integers(3, 15))
                values[first:end] += (
                    sign * size * np.minimum(np.arange(1, end - first + 1) / rise, 1)
                )
            case "spike":
                values[first : first + int(generator.integers(1, 4))] += size
            case "zero":
                values[first:end] = 0.0
            case "noise":
                values[first:end] += generator.normal(0.0, size / 2.0, end - first)
            case _:
                kept = np.ones(len(times), bool)
                kept[first:end] = False
                return times[kept], values[kept]
        if self.values[number].min() >= 0.0:
            np.maximum(values, 0.0, out=values)
        return times, values
