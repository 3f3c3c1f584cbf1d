"""What the tests of outgoing calls share."""

from pathlib import Path

import pytest

from tests.kit.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
