"""Signing in with a code in a browser, resetting a password, and signing up."""

import re

import pyotp
import pytest

from anomify.clock import now_timestamp
from anomify.user.authenticator import begin_enrolment, finish_enrolment
from anomify.user.queries import find_user
from tests.dashboard.conftest import BLUEPRINTS, Site
from tests.dashboard.test_sign_in import hidden
from tests.factories import PASSWORD, make_cast
from tests.kit.letters import code_in, link_in, read_letters
from tests.kit.web import make_app

ORIGIN = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
NEW = "another quite long phrase"


@pytest.fixture
def site(database, tmp_path):
    """A site that mails codes, and lets anybody sign up."""
    app = make_app(database, tmp_path, BLUEPRINTS, smtp_host="127.0.0.1", signup=True)
    with database.unit_of_work():
        cast = make_cast()
    made = Site(app, database, cast)
    yield made
    made.app_state.points.close()


def submit(browser, path, **requested):
    """Open a page, fill in its form and send it to the form's own address."""
    page = browser.get(path)
    text = page.get_data(as_text=True)
    action = re.search(r'<main.*?<form method="post" action="([^"]+)"', text, re.DOTALL)[1]
    return browser.post(action, data={**hidden(text), **requested}, headers=ORIGIN)


def signed_in(browser, **more):
    return submit(browser, "/ui/login", email="alice@acme.example", password=PASSWORD, **more)


class TestCode:
    def test_is_asked_for_after_the_password_and_redirects_to_the_requested_page(self, site):
        browser = site.browser(None)
        wanted = "/ui/metrics"
        start = browser.get(wanted).location
        redirect = submit(browser, start, email="alice@acme.example", password=PASSWORD)
        assert redirect.status_code == 303
        assert redirect.location == "/ui/login/code?next=%2Fui%2Fmetrics"
        assert "a code was mailed" in browser.get(redirect.location).get_data(as_text=True)
        assert browser.get("/ui/").status_code == 302
        (letter,) = read_letters(site.database)
        reply = submit(browser, redirect.location, code=code_in(letter))
        assert (reply.status_code, reply.location) == (303, wanted)
        assert browser.get("/ui/").status_code == 200

    def test_is_not_asked_for_in_a_known_browser(self, site):
        browser = site.browser(None)
        submit(browser, signed_in(browser).location, code=code_in(*read_letters(site.database)))
        browser.post("/ui/logout", data=hidden(browser.get("/ui/").text), headers=ORIGIN)
        assert signed_in(browser).location == "/ui/"

    def test_is_asked_for_again_after_a_wrong_one(self, site):
        browser = site.browser(None)
        reply = submit(browser, signed_in(browser).location, code="no code")
        assert reply.status_code == 401
        assert 'role="alert"' in reply.text
        assert 'name="code"' in reply.text

    def test_the_link_in_the_mail_works_in_another_browser(self, site):
        signed_in(site.browser(None))
        (letter,) = read_letters(site.database)
        path, carried = link_in(letter)
        other = site.browser(None)
        reply = submit(other, f"{path}?token={carried['token']}", code=code_in(letter))
        assert reply.location == "/ui/"
        assert other.get("/ui/").status_code == 200

    def test_there_is_no_field_without_a_started_sign_in(self, site):
        text = site.text("/ui/login/code", who=None)
        assert "no sign-in to confirm" in text
        assert 'name="code"' not in text
        assert site.get("/ui/login/code").location == "/ui/"

    def test_is_the_one_of_the_app_if_set_up_and_the_browser_is_remembered(self, site):
        with site.database.unit_of_work():
            alice = find_user(site.cast.alice.id)
            seed = begin_enrolment(alice).seed
            finish_enrolment(alice, pyotp.TOTP(seed).at(now_timestamp() - 30))
        browser = site.browser(None)
        step_url = signed_in(browser).location
        assert "authenticator app" in browser.get(step_url).text
        code = pyotp.TOTP(seed).at(now_timestamp())
        assert submit(browser, step_url, code=code, remember="true").location == "/ui/"
        browser.post("/ui/logout", data=hidden(browser.get("/ui/").text), headers=ORIGIN)
        assert signed_in(browser).location == "/ui/"


class TestForgotten:
    def test_the_mailed_link_sets_a_new_password_and_signs_in(self, site):
        browser = site.browser(None)
        assert (
            "has been mailed to it"
            in submit(browser, "/ui/forgot", email="alice@acme.example").text
        )
        (letter,) = read_letters(site.database)
        path, carried = link_in(letter)
        link = f"{path}?email={carried['email']}&reset_token={carried['reset_token']}"
        refused = submit(browser, link, password_1=NEW, password_2="x")
        assert refused.status_code == 400
        assert "password_2-fault" in refused.text
        assert NEW not in refused.text
        reply = submit(browser, link, password_1=NEW, password_2=NEW)
        assert (reply.status_code, reply.location) == (303, "/ui/")
        assert browser.get("/ui/").status_code == 200
        assert browser.get(link).status_code == 404

    def test_replies_the_same_for_unknown_addresses(self, site):
        known = submit(site.browser(None), "/ui/forgot", email="alice@acme.example")
        unknown = submit(site.browser(None), "/ui/forgot", email="nobody@acme.example")
        assert known.text == unknown.text

    def test_explains_what_to_do_on_a_server_without_mail(self, empty_site):
        assert "reset-link" in empty_site.text("/ui/forgot", who=None)


class TestSignUp:
    def test_the_mailed_link_creates_an_org_and_signs_in(self, site):
        browser = site.browser(None)
        requested = {"org_name": "Initech", "user_name": "Erin", "timezone": "Europe/Berlin"}
        sent = submit(browser, "/ui/signup", email="erin@initech.example", **requested)
        assert "erin@initech.example" in sent.text
        (letter,) = read_letters(site.database)
        path, carried = link_in(letter)
        token = carried["verification_token"]
        link = f"{path}?email={carried['email']}&verification_token={token}"
        assert "Initech" in browser.get(link).text
        assert "password_1-fault" in submit(browser, link, password_1="x", password_2="x").text
        reply = submit(browser, link, password_1=NEW, password_2=NEW)
        assert (reply.status_code, reply.location) == (303, "/ui/connect")
        assert "Initech" in browser.get("/ui/connect").text
        assert browser.get(link).status_code == 404

    def test_shows_invalid_fields_and_keeps_the_others(self, site):
        reply = submit(site.browser(None), "/ui/signup", org_name="Initech", email="no address")
        assert reply.status_code == 400
        assert 'value="Initech"' in reply.text
        assert "email-fault" in reply.text

    def test_is_not_offered_when_disabled(self, empty_site):
        with empty_site.database.unit_of_work():
            empty_site.cast = make_cast()
        assert "/ui/signup" not in empty_site.text("/ui/login", who=None)
        assert empty_site.get("/ui/signup", who=None).status_code == 403
