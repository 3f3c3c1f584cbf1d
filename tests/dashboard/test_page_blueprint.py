"""The blueprint of pages: who may open them, redirects to sign in, and error pages."""

import pytest

from anomify.dashboard import inbox
from anomify.dashboard.page_blueprint import address, local_path
from anomify.edge.access import ADMIN, ANYONE, COMMENTER, EDITOR, PUBLIC, USER
from anomify.edge.contract import declared_routes
from anomify.edge.problem import Problem
from anomify.edge.request_id import request_id
from tests.factories import make_token


class TestLocalPath:
    @pytest.mark.parametrize(
        "path", ["/ui/", "/ui/metric?name=a%20b&event=3", "/ui/metrics?search=%22%3E"]
    )
    def test_paths_below_ui_are_returned(self, path):
        assert local_path(path) == path

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "https://evil.example/ui/",
            "//evil.example/ui/",
            "/\\evil.example",
            "/ui/\\evil.example",
            "/ui/ x",
            "/ui/\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "/metrics",
            "ui/",
        ],
    )
    def test_anything_else_becomes_the_start_page(self, path):
        assert local_path(path) == "/ui/"


class TestAddress:
    def test_empty_parameters_are_left_out(self):
        assert address("/ui/", a=None, b="", c=0, d="x y&z") == "/ui/?c=0&d=x+y%26z"
        assert address("/ui/") == "/ui/"


class TestAccess:
    @pytest.mark.parametrize("path", ["/ui/", "/ui/metrics", "/ui/metric?name=a", "/ui/connect"])
    def test_without_a_session_redirects_to_sign_in_and_back(self, site, path):
        reply = site.browser(None).get(path)
        assert reply.status_code == 302
        assert reply.location.startswith("/ui/login")
        if path != "/ui/":
            assert "next=%2Fui%2F" in reply.location

    def test_the_root_redirects_to_the_pages(self, site):
        assert site.get("/", who=None).location == "/ui/"

    def test_neither_tokens_nor_session_headers_open_pages(self, site):
        with site.database.unit_of_work():
            _, secret = make_token(site.cast.acme, "read", "write", "admin")
        browser = site.browser(None)
        for headers in (
            {"X-Auth-Token": secret},
            {"Authorization": f"Bearer {secret}"},
            site.cast.headers("alice"),
        ):
            assert browser.get("/ui/", headers=headers).status_code == 302
        query = {"session_id": site.cast.sessions["alice"]}
        assert browser.get("/ui/", query_string=query).status_code == 302

    def test_every_page_declares_cookies_alone(self, site):
        pages = [
            route for route in declared_routes(site.app).values() if route.rule.startswith("/ui/")
        ]
        assert len(pages) >= 12
        assert all(route.is_cookie_only for route in pages)
        assert {route.access for route in pages} <= {
            *(USER, EDITOR, ADMIN, COMMENTER, ANYONE, PUBLIC)
        }


class TestFailures:
    def test_an_unknown_page_is_a_page_with_the_request_id(self, site):
        reply = site.get("/ui/nothing")
        assert reply.status_code == 404
        assert reply.mimetype == "text/html"
        text = reply.get_data(as_text=True)
        assert "There is nothing here" in text
        assert reply.headers["X-Request-Id"] in text

    @pytest.mark.parametrize(
        ("status", "heading"),
        [
            (403, "This is not allowed"),
            (429, "Too many tries"),
            (500, "Something went wrong on our side"),
            (503, "The server is busy"),
            (418, "This did not work"),
        ],
    )
    def test_each_error_page_has_a_sentence_and_the_request_id(self, site, status, heading):
        with site.app.test_request_context("/ui/"):
            result = Problem(status, "code", 'What to do: <wait> "a little".')
            reply = inbox.blueprint.respond_problem(result)
            text = reply.get_data(as_text=True)
            assert reply.status_code == status
            assert heading in text
            assert "What to do: &lt;wait&gt;" in text
            assert request_id() in text

    def test_an_unknown_page_is_the_same_without_a_session(self, site):
        assert site.get("/ui/nothing", who=None).status_code == 404

    def test_an_invalid_parameter_gives_an_error_page(self, site):
        reply = site.get("/ui/", offset="many")
        assert reply.status_code == 400
        assert "offset: A whole number is needed." in reply.get_data(as_text=True)

    def test_a_form_of_another_site_is_refused(self, site):
        browser = site.browser()
        for headers in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
        ):
            reply = browser.post("/ui/connect", headers=headers)
            assert reply.status_code == 403
            assert "This is not allowed" in reply.get_data(as_text=True)

    @pytest.mark.parametrize("path", ["/ui/", "/ui/login", "/ui/nothing", "/static/css/base.css"])
    def test_every_reply_has_the_content_security_policy(self, site, path):
        with site.get(path) as reply:
            policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
