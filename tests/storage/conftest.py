"""Fixtures of the tests of stored points."""

import pytest

from anomify.storage import months


@pytest.fixture
def no_month_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every month have its own file, whatever the time is."""
    monkeypatch.setattr(months, "OLD_AFTER_MONTHS", 10_000)
