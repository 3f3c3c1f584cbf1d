"""Why and until when watchers keep still."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.silence.window import silence_decision, silenced_orgs
from tests.factories import make_org


@pytest.mark.usefixtures("unit")
class TestStillnessOf:
    def test_says_why_and_until_when_while_the_org_is_muted(self):
        at = now()
        until = at + timedelta(minutes=5)
        decision = silence_decision(make_org(muted_until=until), at)
        assert decision is not None
        assert (decision.why, decision.until) == ("the whole org is muted", until)

    def test_is_none_before_and_after(self):
        at = now()
        assert silence_decision(make_org(), at) is None
        assert silence_decision(make_org(muted_until=at), at) is None

    def test_agrees_with_what_queries_ask(self):
        at = now()
        still = make_org(muted_until=at + timedelta(seconds=1))
        make_org(muted_until=at)
        make_org()
        assert list(session().scalars(silenced_orgs(at))) == [still.id]
