"""Set-up: it needs the link, works once, and shows a working key."""

import re
from html import unescape

import pytest

from anomify.clock import now_ms
from anomify.org.onboarding import create_setup_link
from anomify.org.queries import list_orgs_named
from anomify.org.refused_items import Refused
from anomify.org.token import find_token, list_tokens
from tests.dashboard.test_sign_in import hidden
from tests.factories import make_metric

FORM = {
    "org_name": "Acme",
    "timezone": "Asia/Kathmandu",
    "name": "Alice",
    "email": "alice@acme.example",
    "password": "correct horse battery",
}
BROWSER = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def link(empty_site):
    with empty_site.database.unit_of_work():
        return create_setup_link()


def submit(site, link, **changes):
    browser = site.browser(None)
    fields = hidden(browser.get("/ui/setup", query_string={"link": link}).get_data(as_text=True))
    reply = browser.post(
        "/ui/setup", data={"link": link, **fields, **FORM, **changes}, headers=BROWSER
    )
    return browser, reply


def shown_key(text: str) -> str:
    return re.search(r'<code id="key">(anm_\w+)</code>', text)[1]


class TestPage:
    def test_without_a_link_it_explains_where_to_find_one(self, empty_site):
        text = empty_site.text("/ui/setup", who=None)
        assert "Open the one-time set-up link that the server printed" in text
        assert "<form" not in text

    def test_a_wrong_link_is_refused(self, empty_site):
        reply = empty_site.get("/ui/setup", who=None, link="guessed")
        assert reply.status_code == 403
        assert "<form" not in reply.get_data(as_text=True)

    def test_the_link_shows_the_form(self, empty_site, link):
        text = empty_site.text("/ui/setup", who=None, link=link)
        assert all(f'name="{field}"' in text for field in FORM)
        assert '<option value="Europe/Berlin">' in text

    def test_the_link_is_not_found_after_set_up(self, site):
        with site.database.unit_of_work():
            link = create_setup_link()
        reply = site.get("/ui/setup", who=None, link=link)
        assert reply.status_code == 404
        assert "Anomify is set up already" in reply.get_data(as_text=True)


class TestFinish:
    def test_creates_the_org_and_signs_its_owner_in(self, empty_site, link):
        browser, reply = submit(empty_site, link)
        assert reply.status_code == 200
        text = browser.get("/ui/").get_data(as_text=True)
        assert "Owner of Acme" in text
        with empty_site.database.unit_of_work(write=False):
            [org] = list_orgs_named("Acme")
            assert org.timezone == "Asia/Kathmandu"

    def test_shows_a_key_that_can_only_ingest(self, empty_site, link):
        _, reply = submit(empty_site, link)
        text = unescape(reply.get_data(as_text=True))
        key = shown_key(text)
        assert text.count(key) == 5
        assert "http://127.0.0.1:8080/api/v1/write" in text
        with empty_site.database.unit_of_work(write=False):
            assert find_token(key).scopes == "ingest"

    @pytest.mark.parametrize(
        ("field", "value", "fault"),
        [
            ("password", "too short", "password-fault"),
            ("email", "nobody", "email-fault"),
            ("name", " ", "name-fault"),
            ("org_name", " ", "org_name-fault"),
            ("timezone", "Mars/Olympus", "timezone-fault"),
        ],
    )
    def test_shows_invalid_fields_and_keeps_the_others(self, empty_site, link, field, value, fault):
        _, reply = submit(empty_site, link, **{field: value})
        text = reply.get_data(as_text=True)
        assert reply.status_code == 400
        assert re.findall(r'id="([\w]+-fault)"', text) == [fault]
        assert 'value="Alice"' in text or field == "name"
        assert FORM["password"] not in text
        _, reply = submit(empty_site, link)
        assert reply.status_code == 200

    def test_the_link_works_once(self, empty_site, link):
        submit(empty_site, link)
        browser = empty_site.browser(None)
        fields = hidden(browser.get("/ui/login").get_data(as_text=True))
        again = {**FORM, "org_name": "Globex", "email": "charlie@globex.example"}
        requested = {"csrf_token": fields["csrf_token"], **again, "link": link}
        reply = browser.post("/ui/setup", data=requested, headers=BROWSER)
        assert reply.status_code == 404
        with empty_site.database.unit_of_work(write=False):
            assert list_orgs_named("Globex") == []

    def test_a_form_of_another_site_is_refused(self, empty_site, link):
        reply = empty_site.browser(None).post(
            "/ui/setup",
            data={"link": link, **FORM},
            headers={"Origin": "https://evil.example"},
        )
        assert reply.status_code == 403
        with empty_site.database.unit_of_work(write=False):
            assert list_orgs_named("Acme") == []


class TestConnect:
    def test_shows_every_way_with_a_placeholder(self, site):
        text = site.text("/ui/connect")
        assert re.findall(r'id="way-(\w+)"', text) == ["prometheus", "curl", "telegraf", "python"]
        assert text.count("YOUR_KEY") == 5

    def test_an_admin_can_create_a_key(self, site):
        browser = site.browser("alice")
        fields = hidden(browser.get("/ui/connect").get_data(as_text=True))
        reply = browser.post("/ui/connect", data=fields, headers=BROWSER)
        key = shown_key(reply.get_data(as_text=True))
        with site.database.unit_of_work(write=False):
            assert find_token(key).org_id == site.cast.acme.id
            assert [token.created_by for token in list_tokens(site.cast.acme).items] == ["Alice"]

    @pytest.mark.parametrize("who", ["bob", "dave"])
    def test_other_users_are_referred_to_an_admin(self, site, who):
        text = site.text("/ui/connect", who=who)
        assert "An admin of Acme can create one." in text
        assert "Create a key" not in text
        browser = site.browser(who)
        fields = hidden(browser.get("/ui/connect").get_data(as_text=True))
        assert browser.post("/ui/connect", data=fields, headers=BROWSER).status_code == 403


class TestArrivals:
    def test_waits_for_the_first_point(self, site):
        assert "Waiting for the first point" in site.text("/ui/arrivals")

    def test_lists_the_newest_metrics(self, site):
        site.make_metric("first", points_seen=12)
        text = site.text("/ui/arrivals")
        assert "Your first metric has arrived" in text
        assert "12 of 100" in text
        for number in range(6):
            site.make_metric(f"more.{number}", points_seen=None)
        text = site.text("/ui/arrivals")
        assert "7 metrics have arrived" in text
        assert re.findall(r'title="([^"]*)"', text)[0] == "more.5"

    def test_shows_nothing_of_another_org(self, site):
        with site.database.unit_of_work():
            make_metric(site.cast.globex, "theirs")
        assert "Waiting for the first point" in site.text("/ui/arrivals")

    def test_shows_recently_refused_items_of_the_own_org_only(self, site):
        hostile = "<b>x</b>{"
        refused = {"quota": Refused(1_200, hostile, "the limit is reached")}
        site.app_state.refused.add(site.cast.acme.id, "telegraf", refused, now_ms())
        site.app_state.refused.flush()
        for path in ("/ui/arrivals", "/ui/connect", "/ui/metrics"):
            text = site.text(path)
            assert re.search(r"1.200 points or requests were refused", text)
            assert hostile not in text
        assert "the limit is reached" in site.text("/ui/arrivals")
        for path in ("/ui/arrivals", "/ui/metrics"):
            assert "refused" not in site.text(path, who="charlie")
