"""Creating orgs, on both databases."""

import pytest

from anomify.errors import Invalid, NotFound
from anomify.org.creating import create_org
from anomify.org.queries import get_org, list_orgs, list_orgs_named

pytestmark = pytest.mark.usefixtures("unit")


class TestCreateOrg:
    def test_a_new_org_has_the_first_onboarding_state(self):
        org = create_org(" Acme ")
        assert (org.name, org.timezone, org.onboarding_status_id) == ("Acme", "UTC", 1)
        assert get_org(org.id) == org

    def test_allows_two_orgs_with_the_same_name(self):
        first, second = create_org("Acme"), create_org("Acme")
        assert list_orgs_named("Acme") == list_orgs() == [first, second]

    @pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb", "a\x00b", "a\u202eb"])
    def test_refuses_an_unreadable_name(self, name):
        with pytest.raises(Invalid):
            create_org(name)


class TestGetOrg:
    def test_raises_not_found_for_an_unknown_id(self):
        with pytest.raises(NotFound):
            get_org(1)
