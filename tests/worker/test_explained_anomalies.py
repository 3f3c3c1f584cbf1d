"""Open anomalies that a new pattern explains: closed with the reason, and opened again."""

import numpy as np
import pytest

from anomify.anomaly.queries import get_anomaly
from anomify.clock import now
from anomify.db import session
from anomify.delivery.facts import Facts
from anomify.delivery.model import Delivery
from anomify.delivery.wording import message_of
from anomify.match.model import Match
from anomify.pattern.trainability import DAY_SECONDS
from anomify.pattern.training import withdraw_label
from anomify.pipeline.announce import Notifier
from anomify.pipeline.no_data import close_all_of_silent
from tests.kit.nights import (
    ALICE,
    KINDS,
    Nights,
)
from tests.kit.plant import MINUTE, Plant, drain, noise, past


def running(plant: Plant, height: float = 60.0) -> tuple[int, np.ndarray]:
    """Judge a day that ends now with an anomaly that still runs; return its id and the values."""
    plant.watch()
    values = noise(1440)
    values[-10:] += height
    plant.send(plant.metric_ids[0], past(1440), values)
    return plant.metric_ids[0], values


class TestOpenAnomalies:
    """What happens to an anomaly that is open when a pattern is trained that explains it."""

    @pytest.fixture
    def trained_while_running(self, plant: Plant):
        metric_id, _ = running(plant)
        analyser = plant.analyser()
        drain(analyser)
        [(_, started_ms, ended_ms, _)] = plant.anomalies()
        assert ended_ms is None
        nights = Nights(plant, metric_id, KINDS[0], days=2)
        with plant.database.unit_of_work(write=False):
            found = session().query(Match).count()
        assert found == 0
        [anomaly] = [*nights.anomalies(0), *nights.anomalies(1), *nights.anomalies(2)]
        nights.train(anomaly, durations=(DAY_SECONDS,))
        return analyser, anomaly, started_ms

    def later(self, plant: Plant, values: list[float], after: int = 1) -> None:
        times = past(1)[-1] + MINUTE * np.arange(after, after + len(values), dtype=np.int64)
        plant.send(plant.metric_ids[0], times, np.array(values))

    def only_match(self, plant: Plant) -> Match:
        with plant.database.unit_of_work(write=False):
            [match] = session().query(Match)
            return match

    def test_are_closed_at_once_with_a_recovery_that_states_why(
        self, plant: Plant, trained_while_running
    ) -> None:
        analyser, anomaly, started_ms = trained_while_running
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            closed = get_anomaly(plant.org_id, anomaly.id).span
            rows = session().query(Delivery).order_by(Delivery.created_at).all()
        match = self.only_match(plant)
        assert (closed.is_open, closed.ended_by_pattern_id) == (False, match.pattern_id)
        assert (match.is_open, match.started_ms, match.anomaly_id) == (True, started_ms, anomaly.id)
        assert [row.transition for row in rows] == ["opened", "recovered"]
        like = "“Nightly job”, marked as expected by Alice"
        assert rows[1].facts["anomaly"]["pattern"] == like
        message = message_of(
            Facts.from_row(rows[1].facts), "https://anomify.example", message_id="m"
        )
        name, link = closed.metric.name, f"https://anomify.example/ui/pattern/{match.pattern_id}"
        sentence = f"{name} is as expected: it is like {like}. It had lasted "
        assert message.data["sentence"].startswith(sentence)
        assert sentence in message.text
        assert f"View the pattern: {link}" in message.text
        assert link in message.html
        assert message.data["anomaly"]["ended_by_pattern_url"] == link

    def test_are_opened_again_when_they_become_larger(
        self, plant: Plant, trained_while_running
    ) -> None:
        analyser, anomaly, _ = trained_while_running
        self.later(plant, [160.0] * 5)
        drain(analyser)
        assert self.only_match(plant).is_open
        self.later(plant, [400.0], after=6)
        drain(analyser)
        [(_, _, ended_ms, _)] = plant.anomalies()
        assert ended_ms is None
        match = self.only_match(plant)
        assert (match.is_open, match.outgrown_by_anomaly_id) == (False, anomaly.id)

    def test_are_opened_again_when_the_training_is_undone(
        self, plant: Plant, trained_while_running
    ) -> None:
        analyser, anomaly, _ = trained_while_running
        drain(analyser)
        with plant.database.unit_of_work():
            withdraw_label(get_anomaly(plant.org_id, anomaly.id), ALICE)
        self.later(plant, [160.0])
        drain(analyser)
        with plant.database.unit_of_work(write=False):
            span = get_anomaly(plant.org_id, anomaly.id).span
        assert span.is_open
        assert "not in use any more" in span.outgrown_reason

    def test_stay_open_where_they_are_labelled_as_unexpected(self, plant: Plant) -> None:
        metric_id, _ = running(plant)
        analyser = plant.analyser()
        drain(analyser)
        nights = Nights(plant, metric_id, KINDS[0], days=2)
        [anomaly] = [*nights.anomalies(0), *nights.anomalies(1), *nights.anomalies(2)]
        nights.train(anomaly, expected=False, durations=(DAY_SECONDS,))
        drain(analyser)
        assert [ended for _, _, ended, _ in plant.anomalies()] == [None]

    def test_matches_are_closed_when_the_metric_stops_reporting(
        self, plant: Plant, trained_while_running
    ) -> None:
        analyser, _, _ = trained_while_running
        self.later(plant, [160.0])
        drain(analyser)
        with plant.database.unit_of_work():
            close_all_of_silent(plant.metric_ids, Notifier(now()))
        assert not self.only_match(plant).is_open
