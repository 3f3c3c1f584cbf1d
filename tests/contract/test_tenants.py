"""Acme's things, asked for on every route by everybody who is not of Acme."""

import re

from anomify.edge.contract import Access, declared_routes
from tests.contract.conftest import MARK

# What differs between any two replies.
_CHANGING = re.compile(
    r'"(created_timestamp|created_string|duration|session_id|oldest_cached_component_age)":\s*("[^"]*"|[^,}]*)'
    r"|[0-9a-f]{16,64}|\d{10,13}|\d\d:\d\d(:\d\d)?"
)
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
# Makes things instead of naming them; what it makes is Charlie's own.
MAKES = {"watcher.create", "set_up.make_key", "set_up.finish", "sign_in.leave", "user.logout"}


def routes(product, *accesses):
    return [
        route
        for route in declared_routes(product.app).values()
        if route.access in accesses and route.endpoint not in MAKES
    ]


def ask(product, route, things, headers):
    """Ask every rule of a route by every method, naming these things wherever it takes a name."""
    for rule in route.rules:
        in_path = set(_PLACEHOLDER.findall(rule))
        if not in_path <= set(things):
            continue
        path = _PLACEHOLDER.sub(lambda found: str(things[found[1]]), rule)
        named = set(route.inputs.model_fields if route.inputs else ()) - in_path
        sent = {name: things[name] for name in named if name in things}
        for method in route.methods:
            where = "query_string" if method == "GET" else "data"
            yield product.client.open(path, method=method, headers=headers, **{where: sent})


def told(reply, things):
    """What a reply says, without what it was told and what changes from one to the next."""
    text = reply.get_data(as_text=True) if "image" not in (reply.mimetype or "") else ""
    longest_first = sorted({str(thing) for thing in things.values()}, key=len, reverse=True)
    # A number as short as a user's id would be found in everything.
    for thing in (thing for thing in longest_first if len(thing) > 3):
        text = text.replace(thing, "(thing)")
    return reply.status_code, _CHANGING.sub("", text)


def outsiders(product):
    cookie = {"Cookie": f"session_id={product.cast.sessions['charlie']}"}
    return {
        "charlie": product.cast.headers("charlie"),
        "charlie's browser": {**cookie, "Origin": "http://127.0.0.1:8080"},
        "globex robot": {"X-Auth-Token": product.tokens["globex"]},
    }


class TestOutsiders:
    def test_are_told_the_same_of_acmes_things_as_of_things_that_do_not_exist(self, product):
        for who, headers in outsiders(product).items():
            for route in routes(
                product,
                Access.VIEWER,
                Access.EDITOR,
                Access.ADMIN,
                Access.OWNER,
                Access.USER,
                Access.SIGNED,
            ):
                of_acmes = [
                    told(reply, product.acmes)
                    for reply in ask(product, route, product.acmes, headers)
                ]
                of_nobodys = [
                    told(reply, product.nobodys)
                    for reply in ask(product, route, product.nobodys, headers)
                ]
                assert of_acmes == of_nobodys, (who, route.endpoint)

    def test_find_nothing_of_acme_wherever_they_look(self, product):
        for who, headers in outsiders(product).items():
            for route in routes(product, *Access):
                for reply in ask(product, route, {}, headers):
                    text = reply.get_data(as_text=True).lower()
                    for word in (MARK, "acme", "alice", "bob@", "dave"):
                        assert word not in text, (who, route.endpoint, word)

    def test_leave_acmes_things_as_they_were(self, product):
        for headers in outsiders(product).values():
            for route in routes(product, *Access):
                if route.changes:
                    list(ask(product, route, product.acmes, headers))
        alice = product.cast.headers("alice")
        watchers = product.client.get("/watchers/list", headers=alice).json["data"]
        assert watchers["total"] == 2
        assert product.client.get("/metrics", headers=alice).json["data"]["total"] == 1
        assert product.client.get("/anomalies?from=1", headers=alice).json["data"]["total"] == 1

    def test_see_acmes_things_when_they_are_of_acme(self, product):
        """The tests above would pass on a product that shows nobody anything."""
        alice = product.cast.headers("alice")
        for path in (
            "/metrics",
            "/anomalies?from=1",
            "/watchers/list",
            f"/anomaly/{product.acmes['anomaly_id']}",
            f"/metric/{product.acmes['metric']}",
        ):
            reply = product.client.get(path, headers=alice)
            assert reply.status_code == 200, path
            assert MARK in reply.text, path


class TestStrangers:
    def test_are_let_in_nowhere(self, product):
        # Ingestion asks for its token itself, and its own tests hold it to that.
        closed = set(Access) - {Access.PUBLIC, Access.ANYONE, Access.INGEST}
        for route in routes(product, *closed):
            for reply in ask(product, route, product.acmes, {}):
                assert reply.status_code in {302, 401, 405}, (route.endpoint, reply.status_code)
                assert reply.headers.get("Location", "/ui/login").startswith("/ui/login")


class TestReaders:
    def test_change_nothing(self, product):
        dave = product.cast.headers("dave")
        for route in routes(product, *set(Access) - {Access.ANYONE, Access.PUBLIC}):
            for reply in ask(product, route, product.acmes, dave) if route.changes else ():
                assert reply.status_code in {302, 403}, route.endpoint
