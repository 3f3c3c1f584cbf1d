"""Training: which anomalies can be trained, what is made of them, and how it is undone."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import get_anomaly, list_anomalies
from anomify.audit.queries import list_audit
from anomify.clock import now, now_ms
from anomify.db import Database, session
from anomify.errors import Conflict, Invalid
from anomify.metric.open_store import open_points
from anomify.metric.state import PARTITIONS
from anomify.org.model import Org
from anomify.pattern.changes import changes_so_far
from anomify.pattern.lineage import disable_pattern, enable_pattern
from anomify.pattern.made_patterns import Trainer
from anomify.pattern.model import (
    ECHO_LABEL,
    Pattern,
    PatternOrigin,
    PatternState,
    Scope,
    Training,
)
from anomify.pattern.queries import (
    get_pattern,
    get_series,
    list_patterns,
    list_pending,
    patterns_by_anomaly,
    pending_by_anomaly,
    read_window,
)
from anomify.pattern.trainability import (
    DAY_SECONDS,
    MONTH_SECONDS,
    WEEK_SECONDS,
    TrainingRefusal,
    trainability,
)
from anomify.pattern.training import Trained, TrainingRequest, train, withdraw_label
from anomify.pattern.waiting_training import claim_training, complete_training, is_training_due
from tests.factories import make_anomaly, make_metric, make_org, make_user
from tests.kit.plant import DAY, MINUTE, Plant, drain, noise, past, with_spike

ALICE = Trainer("Alice")
EXPECTED = TrainingRequest(expected=True)


@pytest.fixture
def plant(database: Database, tmp_path: Path) -> Iterator[Plant]:
    points = open_points(database, tmp_path)
    with database.unit_of_work():
        org = make_org()
        metric_ids = [make_metric(org, f"m{number}").id for number in range(2)]
    yield Plant(database, points, org.id, metric_ids)
    points.close()


def judge(plant: Plant, times: np.ndarray, values: np.ndarray) -> None:
    plant.send(plant.metric_ids[0], times, values)
    analyser = plant.analyser()
    drain(analyser)
    analyser.checkpoint(range(PARTITIONS))
    plant.points.follow()


def with_anomaly(plant: Plant, days: float = 9.0, **more: int) -> int:
    """Judge so many days with a spike a few hours before their end; return the anomaly's id."""
    times = past(int(days * 1440), **more)
    judge(plant, times, with_spike(noise(len(times)), len(times) - 300))
    with plant.database.unit_of_work(write=False):
        return list_anomalies(plant.org_id).items[0].id


def run(plant: Plant, anomaly_id: int, request: TrainingRequest = EXPECTED) -> Trained:
    with plant.database.unit_of_work():
        org = session().get_one(Org, plant.org_id)
        return train(org, get_anomaly(org.id, anomaly_id), request, plant.points, ALICE)


def read(plant: Plant, anomaly_id: int) -> Anomaly:
    with plant.database.unit_of_work(write=False):
        return get_anomaly(plant.org_id, anomaly_id)


class TestTrain:
    def test_makes_patterns_of_a_day_and_a_week_at_once(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        made = run(plant, anomaly_id, TrainingRequest(expected=True, label=" Nightly  job "))
        assert [one.duration_seconds for one in made.patterns] == [WEEK_SECONDS, DAY_SECONDS]
        assert made.pending == []
        week, day = made.patterns
        assert (week.parent_id, day.parent_id) == (None, week.id)
        assert week.group_id == day.group_id == week.id
        assert {one.label for one in made.patterns} == {"Nightly job"}
        assert all(one.enabled and not one.positive and not one.is_growing for one in (week, day))
        anomaly = read(plant, anomaly_id)
        assert (anomaly.expected, anomaly.label, anomaly.labelled_by) == (
            True,
            "Nightly job",
            "Alice",
        )
        with plant.database.unit_of_work(write=False):
            assert changes_so_far() == (1, 1)
            assert patterns_by_anomaly(plant.org_id, [anomaly_id])[anomaly_id][0].id == week.id
            assert list_audit(plant.org_id, action="anomaly.train").total == 1
            stored = read_window(get_pattern(plant.org_id, day.id))
        assert len(stored) > 1400
        assert stored.times[0] >= anomaly.span.started_ms - DAY
        assert stored.times[-1] >= anomaly.span.started_ms

    def test_keeps_the_excursion_with_the_range_that_it_left(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        [_, day] = run(plant, anomaly_id).patterns
        assert day.expected_lower < 100 < day.expected_upper < 120
        assert 155 < day.value < 165
        with plant.database.unit_of_work(write=False):
            assert get_series(get_pattern(plant.org_id, day.id)).context == 60

    def test_gives_a_pattern_of_a_week_a_twin_of_a_day(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        request = TrainingRequest(expected=True, durations=(WEEK_SECONDS,), label="Job")
        week, day = run(plant, anomaly_id, request).patterns
        assert (week.label, day.label) == ("Job", ECHO_LABEL)
        assert day.parent_id == week.id

    def test_marks_what_is_unexpected(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        made = run(plant, anomaly_id, TrainingRequest(expected=False))
        assert all(pattern.positive for pattern in made.patterns)
        assert read(plant, anomaly_id).expected is False

    def test_replaces_the_opposite_label(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        before = run(plant, anomaly_id).patterns
        after = run(plant, anomaly_id, TrainingRequest(expected=False)).patterns
        assert len(after) == 2
        with plant.database.unit_of_work(write=False):
            states = {get_pattern(plant.org_id, one.id).state for one in before}
        assert states == {PatternState.DISABLED}

    def test_refuses_to_train_the_same_again_but_adds_a_missing_window(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        run(plant, anomaly_id, TrainingRequest(expected=True, durations=(DAY_SECONDS,)))
        with pytest.raises(Conflict) as caught:
            run(plant, anomaly_id, TrainingRequest(expected=True, durations=(DAY_SECONDS,)))
        assert caught.value.code == "already_trained"
        [added] = run(plant, anomaly_id).patterns
        assert added.duration_seconds == WEEK_SECONDS
        month = TrainingRequest(expected=True, durations=(MONTH_SECONDS,))
        [waiting] = run(plant, anomaly_id, month).pending
        with plant.database.unit_of_work(write=False):
            groups = {one.group_id for one in list_patterns(plant.org_id).items}
        # However often a window is added, it is one label.
        assert groups == {waiting.group_id}

    def test_makes_what_is_possible_of_a_young_metric(self, plant: Plant) -> None:
        made = run(plant, with_anomaly(plant, days=0.5))
        assert [one.duration_seconds for one in made.patterns] == [DAY_SECONDS]
        assert made.refused == {WEEK_SECONDS: TrainingRefusal.TOO_SHORT}

    def test_trains_an_anomaly_that_still_runs(self, plant: Plant) -> None:
        times, values = past(1440), noise(1440)
        values[-5:] += 60
        judge(plant, times, values)
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
        [day] = run(plant, anomaly.id).patterns
        assert day.is_growing

    @pytest.mark.parametrize(
        "shape", [lambda v: -v, lambda v: v - 100, lambda v: v * 1e-5, lambda v: v * 1e12]
    )
    def test_takes_negative_values_a_zero_mean_and_any_scale(self, plant: Plant, shape) -> None:
        times = past(1440)
        judge(plant, times, shape(with_spike(noise(1440), 1200)))
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
        assert len(run(plant, anomaly.id).patterns) == 1

    def test_keeps_the_family_of_a_pattern_for_it(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            plant.metric_ids[0] = make_metric(org, 'cpu{host="a"}').id
        anomaly_id = with_anomaly(plant, days=1)
        [day] = run(plant, anomaly_id, TrainingRequest(expected=True, scope=Scope.FAMILY)).patterns
        assert (day.scope, len(day.family_hash)) == ("family", 32)

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (TrainingRequest(expected=True, label="x" * 201), "label"),
            (TrainingRequest(expected=True, label="a\u202eb"), "label"),
            (TrainingRequest(expected=True, durations=()), "durations"),
            (TrainingRequest(expected=True, durations=(60,)), "durations"),
        ],
    )
    def test_refuses_a_bad_request(self, plant: Plant, request_, field) -> None:
        anomaly_id = with_anomaly(plant, days=1)
        with pytest.raises(Invalid) as caught:
            run(plant, anomaly_id, request_)
        assert set(caught.value.fields) == {field}


class TestTrainability:
    def test_refuses_what_ended_over_two_weeks_ago(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=1, end_ms=now_ms() - 15 * DAY)
        found = trainability(read(plant, anomaly_id))
        assert (found.is_trainable, found.refusal) == (False, TrainingRefusal.TOO_OLD)
        assert "14 days" in found.reason
        with pytest.raises(Conflict) as caught:
            run(plant, anomaly_id)
        assert caught.value.code == "too_old"

    def test_takes_what_ended_within_two_weeks(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=1, end_ms=now_ms() - 13 * DAY)
        assert trainability(read(plant, anomaly_id)).is_trainable

    def test_refuses_missing_points(self, plant: Plant) -> None:
        with plant.database.unit_of_work():
            metric = make_metric(session().get_one(Org, plant.org_id), "silent")
            anomaly = make_anomaly(metric, now() - timedelta(hours=1), is_silence=True)
        found = trainability(anomaly)
        assert found.refusal is TrainingRefusal.NO_DATA
        assert [window.name for window in found.windows] == ["24h", "7d", "30d"]
        with pytest.raises(Conflict):
            run(plant, anomaly.id)

    def test_refuses_windows_with_gaps_and_short_ones(self, plant: Plant) -> None:
        times = past(2 * 1440)
        keep = np.ones(len(times), bool)
        keep[1500:2300] = False
        judge(plant, times[keep], with_spike(noise(len(times)), len(times) - 100)[keep])
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
            progress = plant.progress(plant.metric_ids[0])
            found = trainability(anomaly, progress, plant.points)
        assert [window.refusal for window in found.windows] == [
            TrainingRefusal.GAPS,
            TrainingRefusal.TOO_SHORT,
            TrainingRefusal.TOO_SHORT,
        ]
        assert not found.is_trainable
        assert "missing" in found.windows[0].reason
        with pytest.raises(Conflict) as caught:
            run(plant, anomaly.id)
        assert caught.value.code == "gaps"

    def test_refuses_points_that_are_deleted(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=1)
        plant.points.drop_before(now_ms())
        with plant.database.unit_of_work(write=False):
            anomaly = get_anomaly(plant.org_id, anomaly_id)
            found = trainability(anomaly, plant.progress(plant.metric_ids[0]), plant.points)
        assert found.refusal is TrainingRefusal.NO_DATA


class TestMonth:
    MONTH = TrainingRequest(expected=True, durations=(DAY_SECONDS, MONTH_SECONDS))

    def complete(self, plant: Plant, at_hours: float = 0):
        with plant.database.unit_of_work():
            at = now() + timedelta(hours=at_hours)
            claimed = claim_training(at)
            if claimed is None:
                return None
            return complete_training(claimed.id, claimed.leased_until, plant.points, at)

    def test_waits_an_hour_after_the_anomaly(self, plant: Plant) -> None:
        times = past(20 * 1440)
        judge(plant, times, with_spike(noise(len(times)), len(times) - 30))
        with plant.database.unit_of_work(write=False):
            [anomaly] = list_anomalies(plant.org_id).items
        made = run(plant, anomaly.id, self.MONTH)
        assert [one.duration_seconds for one in made.pending] == [MONTH_SECONDS]
        with plant.database.unit_of_work(write=False):
            assert not is_training_due(now())
            assert pending_by_anomaly(plant.org_id, [anomaly.id]).keys() == {anomaly.id}
            assert list_pending(plant.org_id).total == 1
        pattern = self.complete(plant, at_hours=1)
        assert pattern.duration_seconds == MONTH_SECONDS
        assert pattern.group_id == made.patterns[0].group_id
        with plant.database.unit_of_work(write=False):
            assert list_pending(plant.org_id).total == 0
            assert list_patterns(plant.org_id).total == 2

    def test_waits_until_there_are_enough_points(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=3)
        run(plant, anomaly_id, self.MONTH)
        assert self.complete(plant) is None
        with plant.database.unit_of_work():
            [waiting] = list_pending(plant.org_id).items
            assert waiting.state == "pending"
            assert "too few points" in waiting.last_error
            assert waiting.due_at > now() + timedelta(hours=23)
            waiting.created_at -= timedelta(days=31)
        assert self.complete(plant, at_hours=25) is None
        with plant.database.unit_of_work(write=False):
            [refused] = list_pending(plant.org_id).items
            assert refused.state == "dead"

    def test_is_not_made_where_the_others_were_disabled_meanwhile(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=20)
        [day] = run(plant, anomaly_id, self.MONTH).patterns
        with plant.database.unit_of_work():
            disable_pattern(plant.org_id, day.id, actor="Bob")
        assert self.complete(plant, at_hours=2) is None
        with plant.database.unit_of_work(write=False):
            assert list_patterns(plant.org_id).total == 0
            [refused] = list_pending(plant.org_id).items
            assert (refused.state, "disabled" in refused.last_error) == ("dead", True)

    def test_is_forgotten_with_the_label(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=3)
        run(plant, anomaly_id, self.MONTH)
        with plant.database.unit_of_work():
            withdraw_label(get_anomaly(plant.org_id, anomaly_id), ALICE)
            assert session().query(Training).count() == 0


class TestWithdrawLabel:
    def test_disables_the_patterns_and_forgets_the_label(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant)
        run(plant, anomaly_id)
        with plant.database.unit_of_work():
            anomaly = get_anomaly(plant.org_id, anomaly_id)
            assert len(withdraw_label(anomaly, ALICE)) == 2
            assert anomaly.expected is None
            assert list_patterns(plant.org_id).total == 0
            assert list_audit(plant.org_id, action="anomaly.untrain").total == 1
            with pytest.raises(Conflict):
                withdraw_label(anomaly, ALICE)
        assert len(run(plant, anomaly_id).patterns) == 2

    @pytest.mark.parametrize("expected", [True, False])
    def test_another_answer_replaces_what_was_enabled_again(
        self, plant: Plant, *, expected: bool
    ) -> None:
        anomaly_id = with_anomaly(plant)
        week, _ = run(plant, anomaly_id).patterns
        with plant.database.unit_of_work():
            withdraw_label(get_anomaly(plant.org_id, anomaly_id), ALICE)
            enable_pattern(plant.org_id, week.id, actor="Bob")
        made = run(plant, anomaly_id, TrainingRequest(expected=expected)).patterns
        with plant.database.unit_of_work(write=False):
            used = {one.id for one in list_patterns(plant.org_id).items}
        assert used == {one.id for one in made}

    def test_a_pattern_of_the_product_does_not_stand_for_an_answer(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=0.5)
        [found] = run(plant, anomaly_id).patterns
        with plant.database.unit_of_work():
            withdraw_label(get_anomaly(plant.org_id, anomaly_id), ALICE)
            row = get_pattern(plant.org_id, found.id)
            row.origin, row.state = PatternOrigin.LEARNT, PatternState.ACTIVE
        [made] = run(plant, anomaly_id, TrainingRequest(expected=False)).patterns
        assert (made.positive, made.duration_seconds) == (True, DAY_SECONDS)


class TestLineage:
    def test_of_two_who_disable_at_once_the_second_one_is_told(self, plant: Plant) -> None:
        [week, _] = run(plant, with_anomaly(plant)).patterns
        with plant.database.unit_of_work():
            get_pattern(plant.org_id, week.id)
            # What another person has stored after it was read here.
            session().execute(
                update(Pattern)
                .where(Pattern.id == week.id)
                .values(state=PatternState.DISABLED)
                .execution_options(synchronize_session=False)
            )
            with pytest.raises(Conflict):
                disable_pattern(plant.org_id, week.id, actor="Bob")

    def test_refuses_a_reason_with_characters_that_nobody_sees(self, plant: Plant) -> None:
        [week, _] = run(plant, with_anomaly(plant)).patterns
        with plant.database.unit_of_work(), pytest.raises(Invalid):
            disable_pattern(plant.org_id, week.id, actor="Bob", reason="not \u202enow")

    def test_disables_and_enables_with_descendants(self, plant: Plant) -> None:
        week, day = run(plant, with_anomaly(plant)).patterns
        with plant.database.unit_of_work():
            pattern, derived = disable_pattern(
                plant.org_id, week.id, actor="Bob", reason="Wrong  metric"
            )
            assert (pattern.state, pattern.state_reason) == (PatternState.DISABLED, "Wrong metric")
            assert [one.id for one in derived] == [day.id]
            with pytest.raises(Conflict):
                disable_pattern(plant.org_id, week.id, actor="Bob")
        with plant.database.unit_of_work():
            _, derived = enable_pattern(plant.org_id, week.id, actor="Bob")
            assert [one.id for one in derived] == [day.id]
            assert list_patterns(plant.org_id).total == 2
            trail = [entry.action for entry in list_audit(plant.org_id, action="pattern").items]
            assert trail == ["pattern.enable", "pattern.disable"]
            with pytest.raises(Conflict):
                enable_pattern(plant.org_id, week.id, actor="Bob")

    def test_leaves_disabled_what_was_disabled_before(self, plant: Plant) -> None:
        week, day = run(plant, with_anomaly(plant)).patterns
        with plant.database.unit_of_work():
            disable_pattern(plant.org_id, day.id, actor="Bob")
        with plant.database.unit_of_work():
            disable_pattern(plant.org_id, week.id, actor="Bob")
            _, derived = enable_pattern(plant.org_id, week.id, actor="Bob")
            assert derived == []


class TestPeople:
    def test_a_user_has_taken_the_step(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=1)
        with plant.database.unit_of_work():
            org = session().get_one(Org, plant.org_id)
            user = make_user(org)
            train(
                org,
                get_anomaly(org.id, anomaly_id),
                EXPECTED,
                plant.points,
                Trainer(user.name, user.id),
            )
            assert "pattern_trained" in user.steps

    def test_another_org_sees_nothing(self, plant: Plant) -> None:
        anomaly_id = with_anomaly(plant, days=1)
        run(plant, anomaly_id)
        with plant.database.unit_of_work():
            other = make_org("Globex")
            assert list_patterns(other.id).total == 0
            assert patterns_by_anomaly(other.id, [anomaly_id]) == {}


def test_training_is_quick(plant: Plant) -> None:
    """The work is bounded: a week of points is read once, whatever the number of windows."""
    anomaly_id = with_anomaly(plant)
    reads = []
    read_points = plant.points.read
    plant.points.read = lambda *args, **more: reads.append(args) or read_points(*args, **more)
    run(plant, anomaly_id)
    assert len(reads) == 1
    assert MINUTE * 1440 * 7 <= reads[0][2] - reads[0][1] <= MINUTE * 1440 * 10
