"""The fixture that the tests of patterns share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anomify.db import Database
from tests.kit.learning_api import LearningApi, open_learning_api


@pytest.fixture
def api(database: Database, tmp_path: Path) -> Iterator[LearningApi]:
    with open_learning_api(database, tmp_path) as opened:
        yield opened
