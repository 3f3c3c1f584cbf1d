"""Muting an org for a number of minutes."""

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
    def test_lasts_the_requested_minutes(self):
        org = mute_org(make_org().id, 30, actor="Alice")
        assert is_muted(org, NOON + timedelta(minutes=30, seconds=-1))
        assert not is_muted(org, NOON + timedelta(minutes=30))

    def test_rounds_the_remaining_minutes_up(self):
        org = mute_org(make_org().id, 30, actor="Alice")
        assert minutes_left(org, NOON) == 30
        assert minutes_left(org, NOON + timedelta(seconds=1)) == 30
        assert minutes_left(org, NOON + timedelta(minutes=29, seconds=59)) == 1
        assert minutes_left(org, NOON + timedelta(minutes=31)) == 0
        assert minutes_left(make_org(), NOON) == 0

    def test_zero_minutes_end_the_mute(self):
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
    def test_refuses_negative_and_too_long_mutes(self, minutes):
        with pytest.raises(Invalid):
            mute_org(make_org().id, minutes, actor="Alice")
