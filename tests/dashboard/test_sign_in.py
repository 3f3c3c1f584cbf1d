"""Signing in and out in a browser."""

import re
from html import unescape

import pytest

from tests.factories import PASSWORD


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)
    return {name: unescape(value) for name, value in found}


def submit(site, *, email="alice@acme.example", password=PASSWORD, path="/ui/login", **more):
    """Fill in the form as a browser that sends no referrer does."""
    browser = site.browser(None)
    fields = hidden(browser.get(path).get_data(as_text=True))
    reply = browser.post(
        "/ui/login",
        data={**fields, "email": email, "password": password, **more},
        headers={"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    )
    return browser, reply


class TestEnter:
    def test_redirects_to_the_inbox(self, site):
        browser, reply = submit(site)
        assert (reply.status_code, reply.location) == (303, "/ui/")
        assert "Alice" in browser.get("/ui/").get_data(as_text=True)

    def test_redirects_to_the_requested_page(self, site):
        wanted = "/ui/metric?name=a%20b%26c"
        start = site.browser(None).get(wanted).location
        _, reply = submit(site, path=start)
        assert reply.location == wanted

    @pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/metrics"])
    def test_never_redirects_to_another_site(self, site, path):
        _, reply = submit(site, next=path)
        assert reply.location == "/ui/"

    def test_starts_a_new_session(self, site):
        browser = site.browser(None)
        fields = hidden(browser.get("/ui/login").get_data(as_text=True))
        before = browser.get_cookie("session_id").value
        data = {**fields, "email": "alice@acme.example", "password": PASSWORD}
        browser.post("/ui/login", data=data, headers={"Origin": "null"})
        assert browser.get_cookie("session_id").value != before

    def test_refuses_a_wrong_password_as_it_refuses_an_unknown_address(self, site):
        _, wrong = submit(site, password="not this one")
        _, unknown = submit(site, email="nobody@acme.example")
        assert (wrong.status_code, unknown.status_code) == (401, 401)
        texts = [
            re.search(r'role="alert">.*?</p>', reply.text, re.DOTALL) for reply in (wrong, unknown)
        ]
        assert texts[0][0] == texts[1][0]
        assert "The e-mail address or the password is not right." in texts[0][0]

    def test_the_form_keeps_the_address_and_not_the_password(self, site):
        _, reply = submit(site, email="<b>@acme.example", password="a secret word")
        text = reply.get_data(as_text=True)
        assert 'value="&lt;b&gt;@acme.example"' in text
        assert "a secret word" not in text

    def test_shows_how_long_to_wait_after_many_attempts(self, site):
        for _ in range(4):
            _, reply = submit(site, password="not this one")
        assert reply.status_code == 429
        assert int(reply.headers["Retry-After"]) >= 1
        assert "Too many failed tries" in reply.get_data(as_text=True)

    def test_a_form_of_another_site_is_refused(self, site):
        data = {"email": "alice@acme.example", "password": PASSWORD}
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
            reply = site.browser(None).post("/ui/login", data=data, headers=headers)
            assert reply.status_code == 403


class TestPage:
    def test_redirects_a_signed_in_user(self, site):
        assert site.get("/ui/login", next="/ui/metrics").location == "/ui/metrics"

    def test_redirects_to_set_up_without_any_user(self, empty_site):
        assert empty_site.get("/ui/login", who=None).location == "/ui/setup"


class TestLeave:
    def test_ends_the_session(self, site):
        browser, _ = submit(site)
        old = browser.get_cookie("session_id").value
        fields = hidden(browser.get("/ui/").get_data(as_text=True))
        reply = browser.post("/ui/logout", data=fields, headers={"Origin": "null"})
        assert (reply.status_code, reply.location) == (303, "/ui/login")
        assert browser.get("/ui/").status_code == 302
        thief = site.browser(None)
        thief.set_cookie("session_id", old)
        assert thief.get("/ui/").status_code == 302

    def test_cannot_be_done_by_a_link(self, site):
        browser, _ = submit(site)
        assert browser.get("/ui/logout").status_code == 405
        assert browser.get("/ui/").status_code == 200

    def test_does_nothing_without_a_session(self, site):
        reply = site.browser(None).post("/ui/logout")
        assert reply.location == "/ui/login"
