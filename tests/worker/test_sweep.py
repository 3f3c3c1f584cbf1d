"""Old rows are deleted, recent ones are kept, and onboarding steps are updated."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database, session
from anomify.delivery.model import SENT, Delivery
from anomify.exclusion.editing import ExclusionFields, add_exclusion
from anomify.exclusion.predicate import ExclusionKind
from anomify.exclusion.queries import list_exclusions
from anomify.metric.model import Progress
from anomify.metric.open_store import open_points
from anomify.metric.store import PointStore
from anomify.org.model import (
    ONBOARDING_JUDGING,
    ONBOARDING_LIVE,
    ONBOARDING_NO_METRICS,
    ONBOARDING_RECEIVING,
    Org,
)
from anomify.worker.sweep import sweep
from tests.factories import make_anomaly, make_delivery, make_metric, make_org, make_watcher


@pytest.fixture
def points(database: Database, tmp_path: Path) -> Iterator[PointStore]:
    opened = open_points(database, tmp_path)
    yield opened
    opened.close()


def swept(database: Database, points: PointStore, tmp_path: Path) -> None:
    sweep(database, points, Settings(data_dir=tmp_path, secret_key="k" * 64))


class TestSweep:
    def test_deletes_messages_settled_longer_ago_than_any_expiration(
        self, database: Database, points: PointStore, tmp_path: Path
    ) -> None:
        with database.unit_of_work():
            org = make_org()
            watcher = make_watcher(org)
            metric = make_metric(org)
            for days in (399, 401):
                anomaly = make_anomaly(metric, now() - timedelta(days=days))
                delivery = make_delivery(watcher, anomaly, state=SENT)
                delivery.settled_at = now() - timedelta(days=days)
        swept(database, points, tmp_path)
        with database.unit_of_work(write=False):
            [kept] = session().scalars(select(Delivery))
            assert now() - kept.settled_at < timedelta(days=400)

    def test_updates_the_onboarding_step_of_an_org_from_its_metrics(
        self, database: Database, points: PointStore, tmp_path: Path
    ) -> None:
        with database.unit_of_work():
            orgs = [make_org(name) for name in ("Empty", "Sending", "Learning", "Judged")]
            for org, seen in zip(orgs, (None, 0, 50, 101), strict=True):
                if seen is None:
                    continue
                metric = make_metric(org)
                if seen:
                    session().add(
                        Progress(
                            metric_id=metric.id,
                            judged_until_ms=1,
                            points_seen=seen,
                            last_value=1.0,
                            resolution_ms=60_000,
                        )
                    )
        swept(database, points, tmp_path)
        with database.unit_of_work(write=False):
            reached = list(session().scalars(select(Org.onboarding_status_id).order_by(Org.id)))
        assert reached == [
            ONBOARDING_NO_METRICS,
            ONBOARDING_RECEIVING,
            ONBOARDING_JUDGING,
            ONBOARDING_LIVE,
        ]

    def test_ends_exclusions_whose_time_is_over(
        self, database: Database, points: PointStore, tmp_path: Path
    ) -> None:
        with database.unit_of_work():
            org = make_org()
            rule, _ = add_exclusion(org.id, ExclusionFields(ExclusionKind.PREFIX, "a"), "Alice")
            rule.expires_at = now() - timedelta(seconds=1)
            add_exclusion(org.id, ExclusionFields(ExclusionKind.PREFIX, "b"), "Alice")
        swept(database, points, tmp_path)
        with database.unit_of_work(write=False):
            assert [rule.pattern for rule in list_exclusions(org.id).items] == ["b"]
