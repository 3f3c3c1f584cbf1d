"""Rows of sessions; the sessions of requests are tested in tests/auth."""

from datetime import timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from anomify.clock import now
from anomify.user.session import (
    end_session,
    end_user_sessions,
    find_session,
    is_stateless_id,
    new_stateless_id,
    open_anonymous_session,
    prune_sessions,
    session_age,
    session_key,
)
from tests.factories import make_cast, make_session

KEY = b"k" * 32


@pytest.mark.usefixtures("unit")
class TestEnding:
    def test_ends_at_once_and_can_be_ended_again(self):
        cast = make_cast()
        key = session_key(cast.sessions["bob"])
        end_session(key)
        end_session(key)
        assert find_session(cast.sessions["bob"]) is None
        assert find_session(cast.sessions["alice"])
        assert session_age(key) == timedelta(0)

    def test_ends_all_sessions_of_a_user_except_one(self):
        cast = make_cast()
        used, other = make_session(cast.bob), make_session(cast.bob)
        end_user_sessions(cast.bob, but=session_key(used))
        assert find_session(used)
        assert find_session(other) is None
        end_user_sessions(cast.bob)
        assert find_session(used) is None
        assert find_session(cast.sessions["alice"])


@pytest.mark.usefixtures("unit")
class TestPruning:
    def test_deletes_expired_sessions(self):
        cast = make_cast()
        anonymous = open_anonymous_session("x" * 300, "192.0.2.1")
        prune_sessions(now() + timedelta(hours=2))
        assert find_session(anonymous) is None
        assert find_session(cast.sessions["bob"])


class TestStatelessIds:
    def test_are_valid_for_an_hour_with_the_same_key(self):
        with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as clock:
            given_id = new_stateless_id(KEY)
            assert len(given_id) == 32
            assert is_stateless_id(KEY, given_id)
            assert not is_stateless_id(b"x" * 32, given_id)
            clock.shift(timedelta(minutes=61))
            assert not is_stateless_id(KEY, given_id)
            clock.shift(timedelta(minutes=-62))
            assert not is_stateless_id(KEY, given_id)

    @given(st.text() | st.binary(min_size=16, max_size=16).map(bytes.hex))
    def test_refuses_forged_ids(self, text):
        assert not is_stateless_id(KEY, text)
