"""The one-time set-up link, on both databases."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.clock import now
from anomify.errors import Denied
from anomify.org.model import SetupLink
from anomify.org.onboarding import create_setup_link, find_setup_link, use_setup_link


class TestCreateSetupLink:
    def test_stores_only_a_hash_and_keeps_earlier_links_valid(self, unit):
        first, second = create_setup_link(), create_setup_link()
        assert find_setup_link(first)
        assert find_setup_link(second)
        for link in unit.scalars(select(SetupLink)):
            assert first not in repr(vars(link))


class TestFindSetupLink:
    @pytest.mark.usefixtures("unit")
    def test_does_not_find_wrong_or_expired_links(self):
        secret = create_setup_link()
        for wrong in ("", secret[:-1], secret + "x", "\ud800"):
            assert find_setup_link(wrong) is None
        with time_machine.travel(now() + timedelta(hours=23)):
            assert find_setup_link(secret)
        with time_machine.travel(now() + timedelta(hours=25)):
            assert find_setup_link(secret) is None


class TestUseSetupLink:
    @pytest.mark.usefixtures("unit")
    def test_works_once(self):
        secret = create_setup_link()
        use_setup_link(secret)
        assert find_setup_link(secret) is None
        with pytest.raises(Denied):
            use_setup_link(secret)

    @pytest.mark.usefixtures("unit")
    def test_raises_for_an_expired_link(self):
        secret = create_setup_link()
        with time_machine.travel(now() + timedelta(hours=25)), pytest.raises(Denied):
            use_setup_link(secret)
