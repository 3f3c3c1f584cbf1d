"""When an anomaly of level ends: by the value, by a new level, and the same in a rebuild."""

import json
from dataclasses import dataclass
from itertools import chain
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from anomify.anomaly.model import Ending, Span
from anomify.anomaly.recording import closing_after_ms
from anomify.db import session
from anomify.detection.detector import judge
from anomify.detection.evidence import Evidence
from anomify.detection.state import EngineState
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.pipeline.candidates import PointVerdict, StoredVerdicts
from anomify.pipeline.level_watch import LeftRange, LevelWatch, accepted_after_ms
from anomify.pipeline.observe import record_metric
from anomify.pipeline.rejudge import rejudge
from anomify.series import Judgements, Series
from tests.factories import make_metric, make_org
from tests.kit.points import MINUTE, START

HOUR = 60 * MINUTE
LEAST = 6.05
TICK = 97
PART = 1000


@dataclass(frozen=True)
class Ended:
    """One anomaly as it was recorded; times in hours since the incident began."""

    began: float
    ended: float
    ending: Ending | None
    level: float | None
    level_since: float | None


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


def another(metric: Metric) -> Metric:
    """Another metric of the same org."""
    return make_metric(session().get_one(Org, metric.org_id), f"metric.{uuid4()}")


def recorded(
    metric: Metric, times: np.ndarray, values: np.ndarray, step_ms: int, at: int
) -> list[Ended]:
    """What is recorded of a series that arrives in ticks, from an hour before the point `at` on.

    A rebuild has to find the same.
    """
    verdicts = judge(EngineState.new(1), np.zeros(len(times), int), times, values)
    rows = np.flatnonzero(verdicts.judged)
    every = StoredVerdicts(times[rows], verdicts.of(rows), LEAST, "")
    closing_ms = closing_after_ms(step_ms)
    found: list[Span] = []
    for tick in np.array_split(np.arange(len(rows)), 1 + len(rows) // TICK):
        running = next((span for span in found if span.is_open), None)
        recorded = record_metric(every.of(tick), metric.id, running, closing_ms, step_ms=step_ms)
        found += [span for span in recorded.spans if span is not running]
    before = [(span.anomaly_id, _ended(span, int(times[at]))) for span in found]
    parts = [
        Series(times[part], values[part], Judgements.none(len(part)))
        for part in np.array_split(np.arange(len(times)), 1 + len(times) // PART)
    ]
    again = chain.from_iterable(rejudge(parts).point_verdicts)
    rebuilt = record_metric(again, metric.id, None, closing_ms, step_ms=step_ms).spans
    assert [(span.anomaly_id, _ended(span, int(times[at]))) for span in rebuilt] == before
    return [each for _, each in before if each.ended >= -1.0]


def _ended(span: Span, began_ms: int) -> Ended:
    since = span.accepted_since_ms
    return Ended(
        (span.started_ms - began_ms) / HOUR,
        (span.last_over_ms - began_ms) / HOUR,
        span.ending,
        span.accepted_level,
        None if since is None else (since - began_ms) / HOUR,
    )


def series(
    kind: str, step_ms: int, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of this kind without any incident."""
    times = START + step_ms * np.arange(count, dtype=np.int64)
    hours = times / HOUR
    noise = generator.normal(0.0, 3.0, count)
    match kind:
        case "season":
            return times, 100.0 + 40.0 * np.sin(2.0 * np.pi * hours / 24.0) + noise
        case "trend":
            return times, 100.0 + 0.02 * (hours - hours[0]) + noise
        case "long tail":
            return times, 50.0 * generator.lognormal(0.0, 0.5, count)
        case "near zero":
            return times, np.abs(noise) / 1000.0
        case "wandering":
            return times, 100.0 + np.convolve(noise, 0.95 ** np.arange(60))[:count]
        case _:
            return times, 100.0 + noise


# How long each series is, and which kinds: of a few days no season is learnt.
DAYS = {1_000: 0.7, 10_000: 1.5, MINUTE: 7.5, 5 * MINUTE: 12.0}
KINDS = {
    1_000: ("long tail",),
    10_000: ("trend", "near zero"),
    MINUTE: ("season", "wandering"),
    5 * MINUTE: ("noise", "season", "trend", "long tail", "near zero", "wandering"),
}


class TestAStep:
    @pytest.mark.parametrize("step_ms", DAYS)
    def test_stays_open_until_the_value_is_back_or_the_engine_takes_the_new_level(
        self, metric, step_ms
    ):
        generator = np.random.default_rng([412, step_ms])
        count = int(DAYS[step_ms] * 24 * HOUR / step_ms)
        at = int(0.62 * count)
        for kind in KINDS[step_ms]:
            times, values = series(kind, step_ms, count, generator)
            hours = float(generator.choice([0.5, 1.0, 2.0, 4.0]))
            length = int(hours * HOUR / step_ms)
            size = float(generator.uniform(10.0, 100.0)) * np.std(values[:at])
            returns, stays = values.copy(), values.copy()
            returns[at : at + length] += size
            stays[at:] += size
            [first, *_] = recorded(another(metric), times, returns, step_ms, at)
            assert first.ending is Ending.RECOVERED, (kind, first)
            assert first.began <= 5 * step_ms / HOUR
            assert first.ended == pytest.approx(hours, abs=max(0.1 * hours, 3 * step_ms / HOUR))
            [first, *_] = recorded(another(metric), times, stays, step_ms, at)
            assert first.ending is Ending.NEW_LEVEL, (kind, first)
            assert first.ended >= accepted_after_ms(step_ms) / HOUR
            assert first.level == pytest.approx(np.mean(stays[-at // 2 :]), rel=0.1)

    def test_that_returns_in_part_does_not_recover(self, metric):
        times, values = series("noise", MINUTE, 5 * 1440, np.random.default_rng(7))
        at = 4 * 1440
        values[at : at + 60] += 900.0
        values[at + 60 :] += 80.0
        [first, *_] = recorded(metric, times, values, MINUTE, at)
        assert first.ending is Ending.NEW_LEVEL
        assert first.level == pytest.approx(180.0, rel=0.02)
        assert first.level_since == pytest.approx(1.0, abs=0.1)

    def test_is_not_over_when_the_value_comes_back_for_a_point(self, metric):
        times, values = series("noise", MINUTE, 5 * 1440, np.random.default_rng(8))
        at = 4 * 1440
        normal = values[at + 30 :: 45].copy()
        values[at:] += 900.0
        values[at + 30 :: 45] = normal
        [first, *_] = recorded(metric, times, values, MINUTE, at)
        assert first.ending is Ending.NEW_LEVEL

    def test_in_a_season_is_over_where_the_metric_is_at_that_hour(self, metric):
        for seed, down in ((1, False), (2, True)):
            times, values = series("season", MINUTE, 12 * 1440, np.random.default_rng(seed))
            at = 10 * 1440 + 300 * seed
            values[at : at + 360] += -300.0 if down else 400.0
            spans = recorded(another(metric), times, values, MINUTE, at)
            assert [each.ending for each in spans] == [Ending.RECOVERED]
            assert spans[0].ended == pytest.approx(6.0, abs=0.1)

    def test_of_a_counter_is_judged_by_its_rate(self, metric):
        generator = np.random.default_rng(9)
        at, count = 4 * 1440, 6 * 1440
        rates = generator.poisson(600.0, count).astype(float)
        rates[at : at + 120] *= 10.0
        times = START + MINUTE * np.arange(count, dtype=np.int64)
        [first, *_] = recorded(metric, times, np.cumsum(rates), MINUTE, at)
        assert first.ending is Ending.RECOVERED
        assert first.ended == pytest.approx(2.0, abs=0.1)

    def test_that_the_engine_takes_as_normal_is_no_season(self, metric):
        times, values = series("noise", 60 * MINUTE, 24 * 60, np.random.default_rng(10))
        at = 24 * 40
        values[at:] *= 10.0
        [first, *_] = recorded(metric, times, values, 60 * MINUTE, at)
        assert first.ending is Ending.NEW_LEVEL


class TestOtherKinds:
    def test_close_when_the_strength_has_fallen(self):
        point = PointVerdict(
            START, 9.0, 9.0, 0.9, 50.0, 20.0, 80.0, Evidence.NOISIER, 4.0, LEAST, ""
        )
        watch = LevelWatch.at(point)
        assert not watch.is_level
        assert not watch.has_recovered(START + 5 * MINUTE, START, 5 * MINUTE)
        assert watch.has_recovered(START + 6 * MINUTE, START, 5 * MINUTE)


class TestStored:
    def test_gives_the_same_watch(self):
        point = PointVerdict(
            START, 9.0, 9.0, 0.9, 90.5, 20.0, 80.0, Evidence.ABOVE, np.nan, LEAST, "", 3.25
        )
        watch = LevelWatch.at(point)
        watch.take(point, MINUTE)
        assert LevelWatch.of_stored(20.0, 80.0, json.loads(json.dumps(watch.stored))) == watch


@given(st.floats(-1e6, 1e6), st.floats(0.0, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_range_that_no_season_moves_is_the_same(lower, width, season, value):
    left = LeftRange(lower, lower + width, season)
    for same in (left.moved_to(np.nan), LeftRange(lower, lower + width, np.nan).moved_to(season)):
        assert same.holds(value) == (lower <= value <= lower + width)
