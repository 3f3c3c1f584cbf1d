"""Fixtures of the worker's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anomify.config import Settings
from anomify.db import Database
from anomify.metric.open_store import open_points
from tests.factories import make_metric, make_org
from tests.kit.outbox import Clock, Post
from tests.kit.plant import Plant


@pytest.fixture
def plant(database: Database, tmp_path: Path) -> Iterator[Plant]:
    points = open_points(database, tmp_path)
    with database.unit_of_work():
        org = make_org()
        metric_ids = [make_metric(org, f"m{number}").id for number in range(3)]
    yield Plant(database, points, org.id, metric_ids)
    points.close()


@pytest.fixture
def post(database: Database, tmp_path: Path) -> Post:
    settings = Settings(data_dir=tmp_path, secret_key="k" * 64, egress_allow=("127.0.0.0/8",))
    with database.unit_of_work():
        org = make_org("Acme")
    return Post(database, settings, Clock(), org)
