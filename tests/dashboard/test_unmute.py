"""Every page shows that the org is muted, and admins can end the muting there."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.db import session
from anomify.org.model import Org
from anomify.org.muting import is_muted, mute_org


@pytest.fixture
def muted(site):
    with site.database.unit_of_work():
        mute_org(site.cast.acme.id, 30, actor="Alice")
    return site


class TestBanner:
    def test_shows_the_end_and_the_minutes_left(self, muted):
        for path in ("/ui/", "/ui/metrics"):
            text = muted.text(path, "dave")
            assert "Muted until" in text
            assert "30 minutes left" in text
        assert "Muted until" not in muted.text("/ui/", "charlie")

    def test_is_not_shown_after_the_muting(self, muted):
        with muted.database.unit_of_work():
            session().get_one(Org, muted.cast.acme.id).muted_until = now() - timedelta(seconds=1)
        assert "Muted until" not in muted.text("/ui/")


class TestUnmute:
    def is_muted(self, site):
        with site.database.unit_of_work(write=False):
            return is_muted(session().get_one(Org, site.cast.acme.id), now())

    def press(self, site, who):
        """Press the button as a browser does on our own page."""
        browser = site.browser(who)
        return browser.post("/ui/unmute", headers={"Origin": "http://localhost"})

    def test_is_a_button_for_admins(self, muted):
        assert "End now" in muted.text("/ui/")
        assert "End now" not in muted.text("/ui/", "bob")
        assert self.press(muted, "bob").status_code == 403
        assert self.is_muted(muted)
        assert self.press(muted, "alice").status_code == 303
        assert not self.is_muted(muted)
