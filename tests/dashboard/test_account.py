"""The account page, in a browser."""

import re
from html import unescape

import pyotp

from anomify.clock import now_timestamp
from anomify.dashboard.device_name import UNKNOWN, device_of
from anomify.user.queries import find_user
from tests.dashboard.test_sign_in import hidden
from tests.factories import PASSWORD, make_session

PATH = "/ui/account"
ORIGIN = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
NEW = "another quite long phrase"


def send(browser, part, **requested):
    """Fill in one of the page's forms."""
    token = hidden(browser.get(PATH).get_data(as_text=True))["csrf_token"]
    return browser.post(f"{PATH}/{part}", data={"csrf_token": token, **requested}, headers=ORIGIN)


def shown(reply, what) -> str:
    return unescape(re.search(rf'<code id="{what}">(.*?)</code>', reply.text, re.DOTALL)[1])


class TestProfile:
    def test_is_changed(self, site):
        browser = site.browser()
        reply = send(browser, "profile", name="Alicia", phone_number="+4930123456")
        assert reply.location == f"{PATH}#profile"
        text = browser.get(PATH).text
        assert 'value="Alicia"' in text
        assert 'value="+4930123456"' in text
        assert 'name="email_alerts" value="true">' in text

    def test_shows_invalid_fields_and_keeps_the_input(self, site):
        reply = send(site.browser(), "profile", name="Alicia", phone_number="call me")
        assert reply.status_code == 400
        assert 'value="Alicia"' in reply.text
        assert "phone_number-fault" in reply.text


class TestQuietHours:
    def test_are_saved_and_ended(self, site):
        browser = site.browser()
        hours = {"quiet_from": "21:15", "quiet_until": "06:45", "quiet_timezone": "Asia/Tokyo"}
        reply = send(browser, "quiet", is_on="true", weekdays=["monday", "friday"], **hours)
        assert reply.location == f"{PATH}#quiet"
        text = browser.get(PATH).text
        assert 'name="is_on" value="true" checked' in text
        assert 'value="21:15"' in text
        assert "<option selected>Asia/Tokyo</option>" in text
        assert text.count('name="weekdays"') == 7
        assert 'value="friday" checked' in text
        send(browser, "quiet", **hours)
        assert 'name="is_on" value="true">' in browser.get(PATH).text

    def test_shows_what_is_wrong_and_keeps_the_input(self, site):
        reply = send(
            site.browser(),
            "quiet",
            is_on="true",
            quiet_from="21:15",
            quiet_until="",
            weekdays="sun",
        )
        assert reply.status_code == 400
        assert "quiet_until-fault" in reply.text
        assert 'value="21:15"' in reply.text


class TestPassword:
    def test_is_changed_and_ends_the_other_sessions(self, site):
        browser, other = site.browser(), site.browser()
        requested = {"current": PASSWORD, "password_1": NEW, "password_2": NEW}
        assert send(browser, "password", **requested).location == f"{PATH}#password"
        assert browser.get(PATH).status_code == 200
        assert other.get(PATH).status_code == 302

    def test_needs_the_current_password(self, site):
        requested = {"current": "not this one", "password_1": NEW, "password_2": NEW}
        reply = send(site.browser(), "password", **requested)
        assert reply.status_code == 401
        assert "present password is not right" in reply.text
        assert NEW not in reply.text

    def test_shows_what_is_wrong_with_the_new_password(self, site):
        requested = {"current": PASSWORD, "password_1": "short", "password_2": "short"}
        assert "password_1-fault" in send(site.browser(), "password", **requested).text


class TestTwoFactor:
    def test_is_set_up_with_a_picture_and_a_code_and_turned_off_again(self, site):
        browser = site.browser()
        begun = send(browser, "totp/begin", password=PASSWORD)
        assert "data:image/svg+xml" in begun.text
        seed = shown(begun, "seed")
        wrong = send(browser, "totp/confirm", code="12345x")
        assert "code-fault" in wrong.text
        on = send(browser, "totp/confirm", code=pyotp.TOTP(seed).at(now_timestamp()))
        codes = shown(on, "codes").split()
        assert len(codes) == 10
        page = browser.get(PATH).text
        assert "10 recovery codes left" in page
        assert codes[0] not in page
        assert seed not in page
        refused = send(browser, "totp/disable", password=PASSWORD, code="no code")
        assert refused.status_code == 400
        assert send(browser, "totp/disable", password=PASSWORD, code=codes[0]).status_code == 303
        with site.database.unit_of_work(write=False):
            assert not find_user(site.cast.alice.id).has_totp

    def test_needs_the_password(self, site):
        reply = send(site.browser(), "totp/begin", password="not this one")
        assert reply.status_code == 401
        assert "data:image" not in reply.text


class TestSessions:
    def test_end_one_by_one_and_all_at_once(self, site):
        with site.database.unit_of_work():
            others = [make_session(site.cast.alice) for _ in range(3)]
        browser = site.browser()
        text = browser.get(PATH).text
        named = re.findall(r'name="session" value="([0-9a-f]{16})"', text)
        assert len(named) == 3
        assert not any(other in text for other in others)
        send(browser, "sessions", session=named[0])
        assert len(re.findall(r'name="session" value=', browser.get(PATH).text)) == 2
        send(browser, "sessions")
        assert not re.findall(r'name="session" value=', browser.get(PATH).text)
        assert browser.get(PATH).status_code == 200

    def test_of_others_are_not_found(self, site):
        assert send(site.browser(), "sessions", session="0" * 16).status_code == 404


class TestDevice:
    def test_is_shown_with_browser_and_system(self):
        chrome = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36"
        phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"
        assert device_of(chrome) == "Chrome on Windows"
        assert device_of(chrome + " Edg/142.0") == "Edge on Windows"
        assert device_of(phone) == "Safari on iPhone"
        assert device_of("curl/8.5.0") == "curl/8.5.0"
        assert device_of("") == UNKNOWN
