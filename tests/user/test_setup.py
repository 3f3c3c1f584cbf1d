"""Creating the first org and owner, on both databases."""

import pytest

from anomify.errors import Conflict, Denied, Invalid
from anomify.org.onboarding import create_setup_link, find_setup_link
from anomify.org.queries import list_orgs
from anomify.user.queries import needs_setup
from anomify.user.setup import finish_setup
from tests.factories import PASSWORD, make_org, make_user

WHO = ("Acme", "alice@acme.example", "Alice", PASSWORD)


def link(database):
    with database.unit_of_work():
        return create_setup_link()


class TestFinishSetup:
    def test_creates_the_first_org_and_owner_once(self, database):
        secret = link(database)
        with database.unit_of_work():
            alice = finish_setup(secret, *WHO)
        assert alice.role == "owner"
        with pytest.raises(Denied), database.unit_of_work():
            finish_setup(secret, *WHO)
        with database.unit_of_work(write=False):
            assert not needs_setup()
            assert [org.name for org in list_orgs()] == ["Acme"]

    def test_the_link_stays_valid_when_other_values_are_refused(self, database):
        secret = link(database)
        with pytest.raises(Invalid), database.unit_of_work():
            finish_setup(secret, "Acme", "alice@acme.example", "Alice", "short")
        with database.unit_of_work(write=False):
            assert find_setup_link(secret)
            assert list_orgs() == []

    def test_refuses_when_there_is_a_user(self, database):
        secret = link(database)
        with database.unit_of_work():
            make_user(make_org("Globex"), "Charlie")
        with pytest.raises(Conflict), database.unit_of_work():
            finish_setup(secret, *WHO)

    def test_refuses_an_unknown_link(self, database):
        with pytest.raises(Denied), database.unit_of_work():
            finish_setup("nonsense", *WHO)
