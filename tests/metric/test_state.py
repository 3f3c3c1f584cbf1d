"""The engine's memory on disk: one checkpoint a partition, and the metrics that sleep."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from anomify.metric.state import (
    MOST_IDS,
    dormant_states,
    drop_dormant,
    keep_checkpoint,
    keep_dormant,
    list_checkpoints,
)
from tests.factories import make_metric, make_org

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


class TestKeepCheckpoint:
    def test_replaces_the_partitions_last_one(self, unit: Session) -> None:
        keep_checkpoint(7, 10, b"old", AT)
        keep_checkpoint(3, 20, b"other", AT)
        keep_checkpoint(7, 30, b"new", AT)
        unit.flush()
        unit.expunge_all()
        found = [(row.partition, row.log_offset, row.state) for row in list_checkpoints()]
        assert found == [(3, 20, b"other"), (7, 30, b"new")]
        assert list_checkpoints()[0].saved_at == AT


@pytest.fixture
def metric_ids(unit: Session) -> list[int]:
    assert unit.is_active
    org = make_org()
    return [make_metric(org, f"m{number}").id for number in range(3)]


class TestDormantStates:
    def test_are_given_back_to_those_that_sleep(self, unit: Session, metric_ids: list[int]) -> None:
        first, second, third = metric_ids
        keep_dormant(first, b"old")
        keep_dormant(first, b"new")
        keep_dormant(second, b"two")
        unit.flush()
        # More than one statement takes.
        strangers = list(range(10**6, 10**6 + MOST_IDS))
        found = dict(dormant_states([first, *strangers, third, second]))
        assert found == {first: b"new", second: b"two"}

    def test_are_forgotten_of_those_that_are_awake(
        self, unit: Session, metric_ids: list[int]
    ) -> None:
        for metric_id in metric_ids:
            keep_dormant(metric_id, b"state")
        unit.flush()
        drop_dormant(metric_ids[1:])
        drop_dormant([])
        assert [metric_id for metric_id, _ in dormant_states(metric_ids)] == metric_ids[:1]
