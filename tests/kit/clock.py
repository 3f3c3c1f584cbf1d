"""The clock of the tests: every test but the journeys begins at a moment that is written here.

The clock goes on from there as a test takes its time. The process's own zone is fixed too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import HealthCheck, settings

# Points of this time lie in the past of every test.
LONG_AGO_SECONDS = 1_795_000_000
# A moment that is round in nothing: no minute, hour, chunk, week or month begins near it.
USUAL = "2026-11-25T10:17:23@UTC"
# Other moments, one or several with blanks between; then each test runs once at each of them.
VARIABLE = "TEST_CLOCK"
PARAMETER = "clock_begins"


def read_moment(text: str) -> datetime:
    """Read `2027-03-28T02:59:30@Europe/Berlin`: a local time and its zone, UTC without a zone.

    An hour that a change of summer time repeats is its first pass, one that it leaves out is what
    a clock shows that was not changed.
    """
    local, _, zone = text.partition("@")
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone or "UTC"))


MOMENTS = os.environ.get(VARIABLE, USUAL).split()


def prepare_hypothesis() -> None:
    """Let a property be tried at several moments, at each with fewer examples."""
    if len(MOMENTS) > 1:
        settings.register_profile(
            "moments",
            max_examples=10,
            suppress_health_check=[HealthCheck.differing_executors],
        )
        settings.load_profile("moments")


def is_a_journey(item: pytest.Item) -> bool:
    """Return whether a test starts whole products, which read the real time."""
    return "journey" in item.path.parts


def run_at_each_moment(metafunc: pytest.Metafunc) -> None:
    """Make a test run once at each moment, where there are several."""
    if len(MOMENTS) > 1 and "journey" not in metafunc.definition.path.parts:
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, MOMENTS, scope="session")


@contextmanager
def standing_still() -> Iterator[None]:
    """Let modules be imported at one moment, so that what they make is the same in every worker.

    A body packed with gzip, for one, holds the time.
    """
    with time_machine.travel(read_moment(MOMENTS[0]), tick=False):
        yield


@contextmanager
def set_for(item: pytest.Item) -> Iterator[None]:
    """Let a test, and every fixture that is made for it, begin at its moment."""
    if is_a_journey(item):
        yield
        return
    callspec = getattr(item, "callspec", None)
    text = callspec.params.get(PARAMETER, MOMENTS[0]) if callspec else MOMENTS[0]
    with time_machine.travel(read_moment(text)):
        yield
