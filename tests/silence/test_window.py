"""Why and until when notifications are held back."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.silence.window import silence_decision, silenced_orgs
from tests.factories import make_org


@pytest.mark.usefixtures("unit")
class TestSilenceDecision:
    def test_returns_reason_and_end_while_the_org_is_muted(self):
        at = now()
        until = at + timedelta(minutes=5)
        decision = silence_decision(make_org(muted_until=until), at)
        assert decision is not None
        assert (decision.why, decision.until) == ("the whole org is muted", until)

    def test_is_none_before_and_after(self):
        at = now()
        assert silence_decision(make_org(), at) is None
        assert silence_decision(make_org(muted_until=at), at) is None

    def test_agrees_with_silenced_orgs(self):
        at = now()
        still = make_org(muted_until=at + timedelta(seconds=1))
        make_org(muted_until=at)
        make_org()
        assert list(session().scalars(silenced_orgs(at))) == [still.id]
