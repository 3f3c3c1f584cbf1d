"""The pages of contact points, and the page behind the link of a confirmation letter."""

import re

import pytest

from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.org.sealing import PURPOSE
from tests.factories import link_contact, make_contact_point, make_watcher
from tests.kit.letters import link_in, read_letters

PATH = "/ui/contact-points"
URL = "https://hooks.example/services/hidden-path"


OURS = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


def post(site, path, who="alice", **form):
    return site.browser(who).post(path, data=form, headers=OURS)


@pytest.fixture
def webhook(site):
    """A webhook with a hostile name that a watcher notifies."""
    key = site.app.extensions["anomify"].settings.key_for(PURPOSE)
    values = {"url": URL, "secret": "whsec_" + "c2VjcmV0" * 6}
    with site.database.unit_of_work():
        made = make_contact_point(site.cast.acme, "webhook", key, name='"><b>Ops', values=values)
        link_contact(make_watcher(site.cast.acme, name="Shop"), made)
    return made


class TestList:
    def test_offers_to_add_one_where_nothing_is_connected(self, site):
        assert "Nothing is connected yet" in site.text(PATH)
        assert "Add contact point" not in site.text(PATH, "dave")

    @pytest.mark.usefixtures("webhook")
    def test_names_the_watchers_and_nothing_of_other_orgs(self, site):
        text = site.text(PATH, "dave")
        assert "Shop" in text
        assert "<b>Ops" not in text
        assert "Ops" not in site.text(PATH, "charlie")


class TestForm:
    def test_shows_no_secret_and_of_the_url_the_host(self, site, webhook):
        text = site.text(f"{PATH}/{webhook.id}")
        assert "Stored (hooks.example)" in text
        assert "hidden-path" not in text
        assert "c2VjcmV0" not in text

    def test_offers_the_settings_of_each_kind(self, site):
        kinds = re.findall(r"kind=([a-z]+)", site.text(f"{PATH}/new"))
        assert {"email", "slack", "webhook", "pagerduty"} <= set(kinds)
        for kind in kinds:
            assert "Save and test" in site.text(f"{PATH}/new", kind=kind)

    def test_says_beside_the_field_what_is_wrong(self, site):
        form = {"kind": "webhook", "setting_url": "http://169.254.169.254/"}
        reply = post(site, f"{PATH}/new", **form)
        assert reply.status_code == 400
        assert 'id="url-fault"' in reply.text

    def test_saves_shows_the_secret_once_and_says_whether_the_test_arrived(self, site):
        reply = post(site, f"{PATH}/new", kind="webhook", name="T", setting_url=URL)
        assert reply.status_code == 200
        assert "The test message has not arrived" in reply.text
        secret = re.search(r"whsec_[A-Za-z0-9+/=]+", reply.text)
        assert secret is not None
        with site.database.unit_of_work(write=False):
            (made,) = session().query(ContactPoint)
        assert secret[0] not in site.text(f"{PATH}/{made.id}")
        assert "is shown only now" in post(site, f"{PATH}/{made.id}/rotate").text

    def test_viewers_change_nothing(self, site, webhook):
        assert "Save and test" not in site.text(f"{PATH}/{webhook.id}", "dave")
        assert post(site, f"{PATH}/{webhook.id}/delete", "dave").status_code == 403

    def test_deletes(self, site, webhook):
        assert post(site, f"{PATH}/{webhook.id}/delete").status_code == 303
        assert site.get(f"{PATH}/{webhook.id}").status_code == 404


class TestConfirmation:
    def test_opening_the_link_confirms_nothing_and_the_button_does(self, site):
        post(site, f"{PATH}/new", kind="email", setting_address="ops@lists.example")
        path, query = link_in(read_letters(site.database, "ops@lists.example")[0])
        assert "Nothing is sent unless you agree" in site.text(path, "charlie", **query)
        for agrees, words in (("true", "Confirmed"), ("false", "Nothing is sent unless")):
            reply = post(site, path, "charlie", agrees=agrees, **query)
            assert words in reply.text

    def test_another_link_does_not_work(self, site):
        assert site.get("/ui/contact-confirmation", token="x").status_code == 404
