"""Fixtures of the worker's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anomify.db import Database
from anomify.metric.open_store import open_points
from tests.factories import make_metric, make_org
from tests.kit.plant import Plant


@pytest.fixture
def plant(database: Database, tmp_path: Path) -> Iterator[Plant]:
    points = open_points(database, tmp_path)
    with database.unit_of_work():
        org = make_org()
        metric_ids = [make_metric(org, f"m{number}").id for number in range(3)]
    yield Plant(database, points, org.id, metric_ids)
    points.close()
