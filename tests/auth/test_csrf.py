"""CSRF protection: which credentials and headers allow a change."""

import pytest

from anomify.auth.csrf import csrf_token
from tests.factories import make_token
from tests.kit.web import error, strict

CHANGE = "/probe/editor/change"
OURS = "http://127.0.0.1:8080"


def cookie(cast, name="bob"):
    return {"Cookie": f"session_id={cast.sessions[name]}"}


@pytest.fixture
def right_token(app, cast):
    with app.test_request_context("/probe/anyone", headers=cookie(cast)):
        app.preprocess_request()
        return csrf_token()


class TestCookie:
    def test_may_read_by_post_without_a_token(self, client, cast):
        assert client.post("/probe/viewer", headers=cookie(cast)).status_code == 200

    def test_never_changes_anything_by_get(self, client, cast):
        reply = client.get(CHANGE, headers=cookie(cast))
        assert reply.status_code == 405
        assert reply.headers["Allow"] == "POST"
        assert error(reply)["code"] == "method_not_allowed"

    def test_refuses_a_change_from_another_site(self, client, cast):
        for more in (
            {},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:8080.evil.example"},
            {"Origin": "http://127.0.0.1:9090"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": OURS},
            {"Sec-Fetch-Site": "cross-site", "Origin": OURS},
            {"Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"X-CSRF-Token": "0" * 64},
            {"X-CSRF-Token": "ü"},
        ):
            reply = client.post(CHANGE, headers={**cookie(cast), **more})
            assert reply.status_code == 403, more
            assert error(reply)["code"] == "not_meant"

    def test_allows_a_change_from_our_own_origin(self, client, cast):
        for more in (
            {"Origin": OURS},
            {"Origin": OURS, "Sec-Fetch-Site": "same-origin"},
            # By whichever name the browser reached us: a page elsewhere cannot choose it.
            {"Origin": "http://localhost", "Host": "localhost"},
        ):
            headers = {**cookie(cast), **more}
            assert client.post(CHANGE, headers=headers).status_code == 200, more

    def test_allows_a_change_with_the_csrf_token(self, client, cast, right_token):
        for origin in ({}, {"Origin": "null"}):
            headers = {**cookie(cast), **origin}
            by_header = client.post(CHANGE, headers={**headers, "X-CSRF-Token": right_token})
            by_form = client.post(CHANGE, headers=headers, data={"csrf_token": right_token})
            assert (by_header.status_code, by_form.status_code) == (200, 200)

    def test_refuses_the_csrf_token_of_another_session(self, client, cast, right_token):
        headers = {**cookie(cast, "alice"), "X-CSRF-Token": right_token}
        assert client.post(CHANGE, headers=headers).status_code == 403

    def test_refuses_a_right_csrf_token_from_another_site(self, client, cast, right_token):
        headers = {**cookie(cast), "X-CSRF-Token": right_token, "Origin": "https://evil.example"}
        assert client.post(CHANGE, headers=headers).status_code == 403


class TestHeader:
    def test_allows_a_change_by_any_method(self, client, cast):
        headers = {**cast.headers("bob"), "Origin": "https://evil.example"}
        assert client.get(CHANGE, headers=headers).status_code == 200
        assert client.post(CHANGE, headers=headers).status_code == 200


class TestParameter:
    def test_changes_by_post_only(self, client, cast):
        sent = {"session_id": cast.sessions["bob"]}
        assert client.post(CHANGE, data=sent).status_code == 200
        assert client.get(CHANGE, query_string=sent).status_code == 405

    def test_a_wrong_parameter_does_not_use_the_cookie(self, client, cast):
        reply = client.post(CHANGE, data={"session_id": "f" * 32}, headers=cookie(cast))
        assert reply.status_code == 401


class TestToken:
    def test_changes_by_any_method(self, client, database, cast):
        with database.unit_of_work():
            _, text = make_token(cast.acme, "write")
        assert client.get(CHANGE, headers={"X-Auth-Token": text}).status_code == 200
        assert client.post(CHANGE, headers={"X-Auth-Token": text}).status_code == 200


class TestAnonymous:
    def test_never_changes_anything_by_get(self, client):
        assert client.get("/probe/anyone/change").status_code == 405

    def test_is_allowed_without_a_browser(self, client):
        assert client.post("/probe/anyone/change").status_code == 200

    def test_cannot_be_signed_in_by_another_site(self, client):
        for more in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert client.post("/probe/anyone/change", headers=more).status_code == 403, more

    def test_our_own_form_is_allowed_by_its_csrf_token(self, app, browser):
        given = strict(browser.get("/probe/anyone"))["status"]["session_id"]
        headers = {"Cookie": f"session_id={given}"}
        with app.test_request_context("/probe/anyone", headers=headers):
            app.preprocess_request()
            token = csrf_token()
        reply = browser.post(
            "/probe/anyone/change", data={"csrf_token": token}, headers={"Origin": "null"}
        )
        assert reply.status_code == 200
