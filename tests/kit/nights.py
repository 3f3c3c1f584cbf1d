"""Metrics with a nightly job, sent to a worker night by night."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly, list_anomalies
from anomify.clock import now_ms
from anomify.db import session
from anomify.match.model import Match
from anomify.match.queries import list_matches
from anomify.org.model import Org
from anomify.pattern.made_patterns import Trainer
from anomify.pattern.training import Trained, TrainingRequest, train
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import make_metric
from tests.kit.plant import DAY, MINUTE, Plant, drain

ALICE = Trainer("Alice")


@dataclass(frozen=True)
class Job:
    """A nightly job: when it begins, how long it lasts, and how much it adds, in noises."""

    minute: int = 120
    minutes: int = 40
    height: float = 60.0


@dataclass(frozen=True)
class Kind:
    """The values of a metric: its level, the size of its noise, and to which side a job moves it.

    `digits` is to how many it is rounded; None leaves it as it is.
    """

    name: str
    level: float
    noise: float
    direction: int = 1
    digits: int | None = None


KINDS = (
    Kind("requests.count", 2_000.0, 20.0, digits=0),
    Kind("cache.hit_ratio", 0.55, 0.004),
    Kind("balance", -400.0, 3.0),
    Kind("disk.bytes", 8e11, 2e9),
    Kind("queue.workers", 90.0, 1.0, direction=-1),
    Kind("latency.tiny", 3e-5, 2e-7),
)


@dataclass(frozen=True)
class Variation:
    """How the days of a metric and the runs of its job differ, as those of real ones do.

    `memory` is the correlation of the noise of two points in a row, and `season` how far, in
    noises, the days swing up and down. A job begins and ends up to `minutes` earlier or later, its
    height varies by the share `spread`, and its points by `ripple`; its first point is lower.
    """

    memory: float = 0.5
    season: float = 5.0
    minutes: float = 1.0
    spread: float = 0.03
    ripple: float = 0.02


@dataclass
class Nights:
    """The days of one metric up to the next full day, and the points that were sent so far."""

    plant: Plant
    metric_id: int
    kind: Kind
    days: int = 14
    seed: int = 7
    sent: int = 0
    variation: Variation | None = None
    _values: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Day 0 begins so long ago that the last of the days ends before now.
        self.first_ms = (now_ms() // DAY - self.days) * DAY
        self._rng = np.random.default_rng(self.seed)
        noise = self._rng.normal(0, 1, self.days * 1440)
        if self.variation is not None:
            noise = _correlated(noise, self.variation.memory)
            turns = 2 * np.pi * np.arange(len(noise)) / 1440
            noise += self.variation.season * np.sin(turns - 2)
        self._values = self.kind.level + self.kind.noise * noise

    def run(self, day: int, job: Job | None) -> None:
        """Let a job run on that day."""
        if job is None:
            return
        move = self.kind.direction * job.height * self.kind.noise
        if self.variation is None:
            first = day * 1440 + job.minute
            self._values[first : first + job.minutes] += move
            return
        varied = self.variation
        early, late = self._rng.uniform(-varied.minutes, varied.minutes, 2)
        first = day * 1440 + round(job.minute + early)
        count = max(round(job.minutes + late), 1)
        heights = 1 + varied.ripple * self._rng.normal(0, 1, count)
        heights[0] = self._rng.uniform(0.6, 1)
        # Not farther from the usual than a pattern allows for, for any of two nights.
        spread = np.clip(varied.spread * self._rng.normal(), -0.04, 0.04)
        self._values[first : first + count] += move * (1 + spread) * heights

    def at(self, day: int, minute: int = 0) -> int:
        """Return the time of a minute of a day."""
        return self.first_ms + (day * 1440 + minute) * MINUTE

    def send(self, day: int, minute: int = 0, *, every: int | None = None) -> None:
        """Send all points before that minute that were not sent, at once or so many at a time."""
        last = day * 1440 + minute
        step = every or max(last - self.sent, 1)
        for first in range(self.sent, last, step):
            rows = np.arange(first, min(first + step, last), dtype=np.int64)
            self.plant.send(self.metric_id, self.first_ms + rows * MINUTE, self.values(rows))
        self.sent = max(self.sent, last)

    def judge(self, analyser: Analyser, day: int, minute: int = 0, *, every: int = 1440) -> None:
        """Send and judge all points before that minute, so many at a time."""
        while self.sent < day * 1440 + minute:
            until = min(self.sent + every, day * 1440 + minute)
            self.send(0, until)
            drain(analyser)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of these minutes, as they are sent."""
        values: np.ndarray = self._values[rows]
        return values if self.kind.digits is None else values.round(self.kind.digits)

    def anomalies(self, day: int) -> list[Anomaly]:
        """Return the anomalies that began on that day, oldest first."""
        with self.plant.database.unit_of_work(write=False):
            found = list_anomalies(
                self.plant.org_id, metric_id=self.metric_id, oldest_first=True, limit=500
            ).items
        return [one for one in found if self.at(day) <= one.span.started_ms < self.at(day + 1)]

    def matches(self, day: int) -> list[Match]:
        """Return the matches that began on that day, oldest first."""
        with self.plant.database.unit_of_work(write=False):
            found = list_matches(
                self.plant.org_id, metric_id=self.metric_id, oldest_first=True, limit=500
            ).items
        return [one for one in found if self.at(day) <= one.started_ms < self.at(day + 1)]

    def train(self, anomaly: Anomaly, *, expected: bool = True, **more: Any) -> Trained:
        """Label an anomaly as Alice."""
        self.plant.points.follow()
        request = TrainingRequest(expected=expected, **{"label": "Nightly job", **more})
        with self.plant.database.unit_of_work():
            org = session().get_one(Org, self.plant.org_id)
            found = get_anomaly(org.id, anomaly.id)
            return train(org, found, request, self.plant.points, ALICE)


def _correlated(noise: np.ndarray, memory: float) -> np.ndarray:
    """Return noise of the same variance of which each point depends on the one before."""
    fresh: np.ndarray = np.sqrt(1 - memory**2) * noise
    last = noise[0]
    for row, value in enumerate(fresh):
        fresh[row] = last = memory * last + value
    return fresh


def judge_together(
    many: Sequence[Nights], analyser: Analyser, day: int, minute: int = 0, *, every: int = 1440
) -> None:
    """Send and judge all points of many metrics before that minute, so many minutes at a time."""
    plant, until = many[0].plant, day * 1440 + minute
    while many[0].sent < until:
        rows = np.arange(many[0].sent, min(many[0].sent + every, until), dtype=np.int64)
        points = Points(
            np.repeat([one.metric_id for one in many], len(rows)).astype(np.int64),
            np.concatenate([one.first_ms + rows * MINUTE for one in many]),
            np.concatenate([one.values(rows) for one in many]),
        )
        plant.points.append(Entry(points, Points.empty()))
        for one in many:
            one.sent = int(rows[-1]) + 1
        drain(analyser)


TRAINED_DAY = 5
NEXT, LATER = TRAINED_DAY + 1, TRAINED_DAY + 2
JOB = Job()


def nights_of(plant: Plant, kind: Kind = KINDS[0], days: int = 9) -> Nights:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        return Nights(plant, make_metric(org, kind.name).id, kind, days)


def trained(
    plant: Plant, kind: Kind = KINDS[0], next_job: Job | None = JOB, **more: Any
) -> tuple[Nights, Analyser]:
    """Judge six days with a job on the last one, train that, and prepare the next night."""
    nights = nights_of(plant, kind)
    nights.run(TRAINED_DAY, JOB)
    nights.run(NEXT, next_job)
    analyser = plant.analyser()
    nights.judge(analyser, NEXT)
    [anomaly] = nights.anomalies(TRAINED_DAY)
    nights.train(anomaly, **more)
    return nights, analyser
