"""Fixtures of the commands' tests."""

from pathlib import Path

import pytest

from tests.kit.backups import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "data")
    yield place
    place.close()
