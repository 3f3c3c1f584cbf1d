"""The thread that works on patterns: growing ones, and those that the product proposes."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from anomify.anomaly.queries import get_anomaly
from anomify.audit.queries import list_audit
from anomify.clock import datetime_from_ms, now
from anomify.db import session
from anomify.metric.model import Progress
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.pattern.learning import find_proposal, propose
from anomify.pattern.learning_switch import set_learning
from anomify.pattern.lineage import accept_pattern, disable_pattern
from anomify.pattern.model import Pattern, PatternOrigin, PatternSeries, PatternState
from anomify.pattern.queries import count_would_hide, get_pattern, list_patterns, list_would_hide
from anomify.worker import learn
from anomify.worker.learn import PatternLearner
from tests.factories import make_metric, make_pattern
from tests.kit.nights import Job, Kind, Nights
from tests.kit.plant import MINUTE, Plant

KIND = Kind("jobs.running", 100.0, 1.0)
# The engine itself learns what recurs daily; what recurs at varying heights remains an anomaly.
RECURRING = (6, 8, 10)


@pytest.fixture
def clock() -> list[datetime]:
    return [now()]


@pytest.fixture
def learner(plant: Plant, clock: list[datetime]) -> PatternLearner:
    return PatternLearner(plant.database, plant.points, lambda: clock[0])


def nights_of(plant: Plant, kind: Kind = KIND, days: int = 18) -> Nights:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        return Nights(plant, make_metric(org, kind.name).id, kind, days)


def recurring(plant: Plant, clock: list[datetime], kind: Kind = KIND) -> Nights:
    """Judge ten days with a job on some of them, so that each is an anomaly."""
    nights = nights_of(plant, kind)
    for day in RECURRING:
        nights.run(day, Job(height=60.0))
    analyser = plant.analyser()
    nights.judge(analyser, RECURRING[-1] + 1)
    analyser.checkpoint(range(PARTITIONS))
    assert all(nights.anomalies(day) for day in RECURRING)
    clock[0] = datetime_from_ms(nights.at(RECURRING[-1] + 1))
    return nights


def patterns(plant: Plant, *states: PatternState) -> list[Pattern]:
    with plant.database.unit_of_work(write=False):
        return list_patterns(plant.org_id, states=states or tuple(PatternState)).items


class TestGrowPatterns:
    def test_completes_a_pattern_when_its_excursion_has_ended(self, plant, learner, clock) -> None:
        nights = nights_of(plant)
        nights.run(8, Job())
        analyser = plant.analyser()
        nights.judge(analyser, 8, 130)
        [anomaly] = nights.anomalies(8)
        [_, day] = nights.train(anomaly).patterns
        assert day.is_growing
        nights.judge(analyser, 8, 150, every=5)
        [match] = nights.matches(8)
        assert (match.is_open, match.anomaly_id) == (True, anomaly.id)
        clock[0] = datetime_from_ms(nights.at(8, 150))
        assert learner.grow_patterns() == 0
        nights.judge(analyser, 9, every=5)
        assert nights.anomalies(8)[0].span.ended_by_pattern_id is not None
        clock[0] = datetime_from_ms(nights.at(9))
        assert learner.grow_patterns() == 2
        [grown, _] = patterns(plant)
        assert not grown.is_growing
        assert grown.last_ms - grown.started_ms >= 38 * MINUTE

    def test_leaves_out_what_is_larger_than_what_was_trained(self, plant, learner, clock) -> None:
        nights = nights_of(plant)
        nights.run(8, Job())
        nights.run(8, Job(minute=145, minutes=10, height=60))
        analyser = plant.analyser()
        nights.judge(analyser, 8, 130)
        [anomaly] = nights.anomalies(8)
        nights.train(anomaly)
        nights.judge(analyser, 9, every=5)
        [again] = nights.anomalies(8)
        assert again.id == anomaly.id
        assert "“Nightly job”" in again.span.outgrown_reason
        clock[0] = datetime_from_ms(nights.at(9))
        assert learner.grow_patterns() == 2
        assert all(pattern.value < 180 for pattern in patterns(plant))


def test_goes_on_where_the_points_of_a_pattern_are_damaged(plant, learner) -> None:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        states = [PatternState.ACTIVE, PatternState.PROPOSED]
        metrics = [make_metric(org, f"cpu.{state}") for state in states]
        for metric, state in zip(metrics, states, strict=True):
            session().add(
                Progress(
                    metric_id=metric.id,
                    judged_until_ms=0,
                    points_seen=0,
                    last_value=0.0,
                    resolution_ms=MINUTE,
                )
            )
            made = make_pattern(metric, state=state, origin="learnt", is_growing=True)
            session().get_one(PatternSeries, made.id).excursion_points = b"cut"
    assert learner.grow_patterns() == 0
    assert learner.propose() == 0


class TestPropose:
    def test_proposes_what_recurs_and_lists_what_it_would_have_hidden(
        self, plant, learner, clock
    ) -> None:
        nights = recurring(plant, clock)
        assert learner.propose() == 1
        [proposed] = patterns(plant)
        assert (proposed.state, proposed.origin, proposed.created_by) == (
            PatternState.PROPOSED,
            "learnt",
            "Anomify",
        )
        with plant.database.unit_of_work(write=False):
            hidden = list_would_hide(plant.org_id, proposed.id)
            assert hidden.total >= 3
            assert {one.span.metric_id for one in hidden.items} == {nights.metric_id}
            assert count_would_hide(plant.org_id, [proposed.id]) == {proposed.id: hidden.total}
            assert list_audit(plant.org_id, action="pattern.propose").total == 1
        assert learner.propose() == 0, "it is proposed once"

    def test_states_on_how_many_days_it_recurred(self, plant, clock) -> None:
        nights = recurring(plant, clock)
        plant.points.follow()
        with plant.database.unit_of_work():
            found = find_proposal(nights.metric_id, plant.points, clock[0])
            assert found.days == len({one.anomaly_id for one in found.would_hide})
            # Another one of the same day is one more anomaly, but no other day.
            twice = replace(found, would_hide=[*found.would_hide, found.would_hide[0]])
            made = propose(twice, plant.points, clock[0])
        assert made.state_reason == f"It recurred on {found.days} days."

    def test_hides_nothing_while_it_is_proposed_and_does_once_accepted(
        self, plant, learner, clock
    ) -> None:
        accepted = recurring(plant, clock)
        proposed = recurring(plant, clock, Kind("jobs.waiting", 100.0, 1.0))
        assert learner.propose() == 2
        [pattern] = [one for one in patterns(plant) if one.metric_id == accepted.metric_id]
        with plant.database.unit_of_work():
            accept_pattern(plant.org_id, pattern.id, actor="Alice")
        analyser = plant.analyser()
        for nights in (accepted, proposed):
            nights.run(13, Job(height=60.0))
            nights.judge(analyser, 14)
        assert accepted.anomalies(13) == []
        assert {match.pattern_id for match in accepted.matches(13)} == {pattern.id}
        assert proposed.anomalies(13)
        assert proposed.matches(13) == []

    def test_proposes_nothing_again_that_was_rejected(self, plant, learner, clock) -> None:
        recurring(plant, clock)
        learner.propose()
        [proposed] = patterns(plant)
        with plant.database.unit_of_work():
            disable_pattern(plant.org_id, proposed.id, actor="Alice")
        assert learner.propose() == 0

    def test_proposes_nothing_on_metrics_that_count_errors(self, plant, learner, clock) -> None:
        recurring(plant, clock, Kind("web.errors", 100.0, 1.0))
        assert learner.propose() == 0

    def test_proposes_nothing_where_an_org_wants_none(self, plant, learner, clock) -> None:
        recurring(plant, clock)
        with plant.database.unit_of_work():
            assert set_learning(plant.org_id, is_on=False, actor="Alice")
            assert not set_learning(plant.org_id, is_on=False, actor="Alice")
        assert learner.propose() == 0

    def test_retires_what_nobody_accepted_when_it_is_switched_off(
        self, plant, learner, clock
    ) -> None:
        recurring(plant, clock)
        learner.propose()
        with plant.database.unit_of_work():
            set_learning(plant.org_id, is_on=False, actor="Alice")
        assert [one.state for one in patterns(plant)] == [PatternState.RETIRED]


class TestReview:
    @pytest.fixture
    def proposed(self, plant, learner, clock) -> Iterator[tuple[Nights, int]]:
        nights = recurring(plant, clock)
        learner.propose()
        [pattern] = patterns(plant)
        with plant.database.unit_of_work():
            # The clock of the test is not the product's: it was proposed at the test's time.
            session().get_one(Pattern, pattern.id).state_at = clock[0]
        for day in (13, 16):
            nights.run(day, Job(height=63.0))
        nights.judge(plant.analyser(), 17)
        assert nights.anomalies(13)
        assert nights.anomalies(16)
        return nights, pattern.id

    def state(self, plant: Plant, pattern_id: int) -> PatternState:
        with plant.database.unit_of_work(write=False):
            return get_pattern(plant.org_id, pattern_id).state

    def test_uses_it_after_two_proven_weeks(self, plant, learner, clock, proposed) -> None:
        _, pattern_id = proposed
        clock[0] += timedelta(days=13)
        learner.propose()
        assert self.state(plant, pattern_id) == PatternState.PROPOSED
        clock[0] += timedelta(days=1)
        learner.propose()
        assert self.state(plant, pattern_id) == PatternState.ACTIVE
        with plant.database.unit_of_work(write=False):
            assert list_audit(plant.org_id, action="pattern.use").total == 1

    def test_never_uses_it_where_a_label_contradicts(self, plant, learner, clock, proposed) -> None:
        nights, pattern_id = proposed
        nights.train(nights.anomalies(8)[0], expected=False)
        clock[0] += timedelta(days=14)
        learner.propose()
        assert self.state(plant, pattern_id) == PatternState.DISABLED

    def test_decays_and_retires_what_does_not_recur(self, plant, learner, clock, proposed) -> None:
        _, pattern_id = proposed
        clock[0] += timedelta(days=14)
        learner.propose()
        with plant.database.unit_of_work():
            session().get_one(Pattern, pattern_id).state_at = clock[0]
        clock[0] += timedelta(days=28)
        learner.propose()
        assert self.state(plant, pattern_id) == PatternState.PROPOSED
        with plant.database.unit_of_work():
            session().get_one(Pattern, pattern_id).state_at = clock[0]
        clock[0] += timedelta(days=28)
        learner.propose()
        assert self.state(plant, pattern_id) == PatternState.RETIRED


def test_reviews_all_in_turn_where_the_time_is_too_short_for_all(
    plant: Plant,
    learner: PatternLearner,
    clock: list[datetime],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learn, "REVIEWING_SECONDS", -1.0)
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        for name in ("cpu.a", "cpu.b", "cpu.c"):
            make_pattern(
                make_metric(org, name), origin=PatternOrigin.LEARNT, state=PatternState.PROPOSED
            )
    clock[0] += timedelta(days=100)
    for retired in (1, 2, 3):
        learner.propose()
        assert len(patterns(plant, PatternState.RETIRED)) == retired


def test_works_until_it_is_asked_to_stop(learner: PatternLearner) -> None:
    rounds = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rounds.append(timeout)
            return len(rounds) > 2

    learner.run_until(Stopping())
    assert rounds == [5.0] * 3


def test_reads_the_anomaly_of_another_org_never(plant, learner, clock) -> None:
    nights = recurring(plant, clock)
    learner.propose()
    [anomaly] = nights.anomalies(8)[:1]
    with plant.database.unit_of_work(write=False):
        assert get_anomaly(plant.org_id, anomaly.id).expected is None
        assert list_patterns(plant.org_id + 1, states=tuple(PatternState)).total == 0
