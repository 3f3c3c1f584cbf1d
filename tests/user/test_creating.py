"""Creating users, on both databases."""

import pytest

from anomify.errors import Conflict, Invalid
from anomify.user.creating import create_user
from anomify.user.queries import get_user, list_users, needs_setup
from tests.factories import PASSWORD, make_org

pytestmark = pytest.mark.usefixtures("unit")


class TestCreateUser:
    def test_makes_the_first_user_owner_and_gives_others_the_requested_role(self):
        org = make_org()
        assert needs_setup()
        alice = create_user(org, "Alice@Acme.Example ", " Alice ", "viewer", PASSWORD)
        bob = create_user(org, "bob@acme.example", "Bob", "editor", PASSWORD)
        assert (alice.email, alice.name, alice.role) == ("alice@acme.example", "Alice", "owner")
        assert bob.role == "editor"
        assert (alice.is_admin, bob.is_admin) == (True, False)
        assert PASSWORD not in repr(vars(alice))
        assert list_users(org) == [alice, bob]
        assert get_user(org, bob.id) == bob
        assert not needs_setup()

    def test_an_address_belongs_to_one_org_only(self):
        create_user(make_org(), "alice@acme.example", "Alice", "owner", PASSWORD)
        with pytest.raises(Conflict) as refused:
            create_user(make_org("Globex"), "ALICE@acme.example", "Eve", "owner", PASSWORD)
        assert "Acme" not in refused.value.message

    def test_refuses_unusable_values(self):
        org = make_org()
        good = {"email": "a@b.example", "name": "Ann", "role": "viewer", "password": PASSWORD}
        for field, values in {
            "email": (
                "",
                "a",
                "a@",
                "@b",
                "a b@c",
                "a@b\nBcc: c@d",
                "a@b,c@d",
                "ann@acme",
                "a..b@c.example",
            ),
            "name": ("", " ", "x" * 201, "a\nb", "a\x00"),
            "role": ("", "root", "OWNER"),
            "password": ("short", "x" * 257, "a" * 20, "Password1234"),
        }.items():
            for value in values:
                with pytest.raises(Invalid) as refused:
                    create_user(org, **{**good, field: value})
                assert list(refused.value.fields) == [field], value
        assert list_users(org) == []
