"""Fixtures of the tests of matches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anomify.db import Database
from anomify.metric.open_store import open_points
from tests.factories import make_org
from tests.kit.plant import Plant


@pytest.fixture
def plant(database: Database, tmp_path: Path) -> Iterator[Plant]:
    points = open_points(database, tmp_path)
    with database.unit_of_work():
        org = make_org()
    yield Plant(database, points, org.id, [])
    points.close()
