"""A whole org keeps quiet for so long as somebody said, and no longer."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.db import session
from anomify.errors import Invalid
from anomify.org.muting import MINUTES_MAX, is_muted, minutes_left, mute_org
from tests.factories import make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.mark.usefixtures("unit")
class TestMuteOrg:
    def test_lasts_as_long_as_was_said(self):
        org = mute_org(make_org().id, 30, actor="Alice")
        assert is_muted(org, NOON + timedelta(minutes=30, seconds=-1))
        assert not is_muted(org, NOON + timedelta(minutes=30))

    def test_counts_a_begun_minute_as_whole(self):
        org = mute_org(make_org().id, 30, actor="Alice")
        assert minutes_left(org, NOON) == 30
        assert minutes_left(org, NOON + timedelta(seconds=1)) == 30
        assert minutes_left(org, NOON + timedelta(minutes=29, seconds=59)) == 1
        assert minutes_left(org, NOON + timedelta(minutes=31)) == 0
        assert minutes_left(make_org(), NOON) == 0

    def test_ends_with_nought(self):
        org = make_org()
        mute_org(org.id, 30, actor="Alice")
        mute_org(org.id, 0, actor="Bob")
        assert org.muted_until is None
        mute_org(org.id, 0, actor="Bob")
        trail = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
        assert [(entry.actor, entry.action) for entry in trail] == [
            ("Alice", "org.mute"),
            ("Bob", "org.unmute"),
        ]

    @pytest.mark.parametrize("minutes", [-1, MINUTES_MAX + 1])
    def test_refuses_what_is_no_pause(self, minutes):
        with pytest.raises(Invalid):
            mute_org(make_org().id, minutes, actor="Alice")
