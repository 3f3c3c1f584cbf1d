"""Fixtures of the deliveries' tests."""

from collections.abc import Iterator

import pytest
import time_machine

from tests.delivery.deliveries import NOON


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stop the clock at noon; a test may move it."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller
