"""What tests of stored points share."""

import pytest

from anomify.storage import engines


@pytest.fixture
def no_month_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every month have a file of its own, whatever the clock says."""
    monkeypatch.setattr(engines, "_is_old", lambda _month: False)
