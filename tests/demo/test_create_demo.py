"""The demo's org and its one user."""

import pytest

from anomify.demo.create_demo import EMAIL, create_demo
from anomify.org.queries import list_orgs
from anomify.org.token import find_token, has_scope
from anomify.user.password import verify_password
from anomify.user.queries import find_user_by_email

pytestmark = pytest.mark.usefixtures("unit")


class TestCreateDemo:
    def test_creates_an_org_and_a_user_who_can_sign_in(self):
        founded = create_demo()
        assert [(org.name, org.is_demo) for org in list_orgs()] == [("Demo", True)]
        user = find_user_by_email(EMAIL)
        assert user.role == "owner"
        assert verify_password(user.password_hash, founded.password)

    def test_shows_the_password_once_and_replaces_the_token(self):
        first, second = create_demo(), create_demo()
        assert second.password is None
        assert second.founded_ms == first.founded_ms
        assert find_token(first.token) is None
        assert has_scope(find_token(second.token), "ingest")
