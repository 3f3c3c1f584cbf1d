"""Every route of the product, asked by a page that is not ours, and by the people of a demo."""

import re

from anomify.edge.contract import declared_routes
from tests.factories import make_session, make_user
from tests.kit.web import error

EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


def routes(product):
    """Yield each declared route with an address that leads to it."""
    for route in declared_routes(product.app).values():
        yield route, re.sub(r"<[^>]+>", "1", route.rule)


def ask(product, method, path, **more):
    client = product.app.test_client(use_cookies=False)
    return client.open(path, method=method, **more)


def check_foreign_change_refused(product, route, path):
    """Ask for a change with the cookie of a signed-in owner, as a page elsewhere would."""
    cookie = {"Cookie": f"session_id={product.cast.sessions['alice']}"}
    by_get = ask(product, "GET", path, headers=cookie)
    if route.methods != ("POST",):
        assert by_get.status_code == 405, path
    for more in (EVIL, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}, {}):
        reply = ask(product, "POST", path, headers={**cookie, **more})
        assert reply.status_code == 403, (path, more)


class TestForeignPages:
    def test_can_read_no_reply_that_depends_on_the_caller(self, product):
        for route, path in routes(product):
            for method in (*route.methods, "OPTIONS"):
                reply = ask(product, method, path, headers=EVIL)
                found = {name for name, _ in reply.headers if name.startswith("Access-Control")}
                if not route.access.identifies_caller:
                    # Its reply is the same for every caller and ignores cookies.
                    assert "Access-Control-Allow-Credentials" not in found, (method, path)
                else:
                    assert found == set(), (method, path)

    def test_change_nothing_with_the_cookie_of_their_reader(self, product):
        requested = 0
        for route, path in routes(product):
            if not route.changes or not route.access.identifies_caller:
                continue
            requested += 1
            check_foreign_change_refused(product, route, path)
        assert requested > 30


class TestRepliesWithASession:
    def test_are_not_cached_and_vary_by_credentials(self, product):
        headers = product.cast.headers("bob")
        requested = 0
        for route, path in routes(product):
            if not route.access.identifies_caller or route.is_cookie_only:
                continue
            reply = ask(product, "POST", path, headers=headers)
            if reply.mimetype == "application/json":
                requested += 1
                assert reply.headers["Cache-Control"] == "no-store", path
                assert {"Cookie", "X-Session-Id"} <= set(reply.vary), path
        assert requested > 50


class TestDemos:
    def test_are_not_changed_by_their_visitors(self, product):
        with product.app.extensions["anomify"].database.unit_of_work() as session:
            demo = session.merge(product.cast.globex)
            demo.is_demo = True
            headers = {"X-Session-Id": make_session(make_user(demo, email="olga@demo.example"))}
        requested = 0
        for route, path in routes(product):
            if (
                not route.changes
                or route.access.is_open
                or not route.access.identifies_caller
                or route.is_cookie_only
            ):
                continue
            requested += 1
            reply = ask(product, "POST", path, headers=headers)
            assert (reply.status_code, error(reply)["code"]) == (403, "demo_read_only"), path
        assert requested > 15
