"""A new org, on both databases."""

import pytest

from anomify.errors import Invalid, NotFound
from anomify.org.creating import create_org
from anomify.org.queries import get_org, list_orgs, list_orgs_named

pytestmark = pytest.mark.usefixtures("unit")


class TestCreateOrg:
    def test_makes_one_that_waits_for_its_first_metric(self):
        org = create_org(" Acme ")
        assert (org.name, org.timezone, org.onboarding_status_id) == ("Acme", "UTC", 1)
        assert get_org(org.id) == org

    def test_lets_two_have_the_same_name(self):
        first, second = create_org("Acme"), create_org("Acme")
        assert list_orgs_named("Acme") == list_orgs() == [first, second]

    @pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb", "a\x00b", "a\u202eb"])
    def test_refuses_a_name_nobody_could_read(self, name):
        with pytest.raises(Invalid):
            create_org(name)


class TestGetOrg:
    def test_says_when_there_is_none(self):
        with pytest.raises(NotFound):
            get_org(1)
