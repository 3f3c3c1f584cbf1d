"""A route that changes something refuses unknown parameters by name."""

import json

import pytest

from anomify.auth import csrf, session_id
from anomify.edge.access import ANYONE
from anomify.edge.contract import declared_routes
from anomify.edge.parameters import CREDENTIALS
from tests.kit.tenants import open_product

UNKNOWN = "slack_channel_of_old"


@pytest.fixture(scope="module")
def product(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("unknown")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        opened.owner, _ = opened.fresh_owner()
        yield opened


def changing(product):
    """Each route that changes something, with an address of it and a method."""
    for route in declared_routes(product.app).values():
        if not route.changes or route.inputs is None:
            continue
        # Of the two rules that a metric's routes have, the one without a name in it.
        rule = route.rules[-1]
        for name, field in route.inputs.model_fields.items():
            kind = (field.json_schema_extra or {}).get("x-names")
            for written in (f"<int:{name}>", f"<{name}>"):
                rule = rule.replace(written, str(product.acmes.get(kind)))
        assert "<" not in rule
        for method in route.methods:
            yield route, rule, method


def requests_with(name, value, method):
    if method == "POST":
        yield {"data": {name: value}}
        yield {"json": {name: value}}
    yield {"query_string": {name: value}}


class TestEveryChangingRoute:
    def test_refuses_and_names_an_unknown_parameter(self, product):
        sent = 0
        for route, path, method in changing(product):
            for request in requests_with(UNKNOWN, "1", method):
                reply = ask(product, route, path, method, request)
                assert reply.status_code == 400, (path, method, request)
                sent += 1
                if route.is_page:
                    assert f"{UNKNOWN}: This parameter is not known here" in reply.text, path
                    continue
                error = reply.json["status"]["error"]
                assert error["fields"][UNKNOWN].startswith("This parameter is not known here")
                assert UNKNOWN in error["message"]
        assert sent > 150

    def test_accepts_session_and_token_parameters(self, product):
        for route, path, method in changing(product):
            if route.is_page:
                continue
            beside = {UNKNOWN: "1", "session_id": "0" * 32, "csrf_token": "x"}
            requests = [{"query_string": beside}]
            if method == "POST":
                requests += [{"data": beside}, {"json": {**beside, "data": {"token": "anm_x"}}}]
            for request in requests:
                reply = ask(product, route, path, method, request)
                named = reply.json["status"]["error"]["fields"]
                assert UNKNOWN in named, (path, method, request)
                assert not {"session_id", "csrf_token", "data", "data.token"} & set(named)
        assert {session_id.NAME, csrf.PARAMETER} == CREDENTIALS

    def test_is_documented(self, product):
        document = json.loads(product.client.get("/doc/openapi").text)
        routes = {
            (rule.replace("<int:", "{").replace("<path:", "{").replace("<", "{").replace(">", "}"))
            + method: route
            for route in declared_routes(product.app).values()
            for rule in route.rules
            for method in route.methods
        }
        for path, methods in document["paths"].items():
            contents = methods.get("post", {}).get("requestBody", {}).get("content", {})
            route = routes.get(path + "POST")
            if route is None or route.wire is not None:
                continue
            for media, content in contents.items():
                is_closed = content["schema"].get("additionalProperties") is False
                assert is_closed == route.changes, (path, media)


class TestRefusing:
    def test_suggests_a_similar_parameter(self, product):
        alice = product.cast.headers("alice")
        for wrong, meant in (
            ("emial_user_ids", "email_user_ids"),
            ("webhook", "webhook_url"),
            ("chip", "chips"),
            ("chips[]", "chips"),
        ):
            reply = product.client.post(
                "/watcher/create", data={"chips": "cpu", wrong: "a"}, headers=alice
            )
            error = reply.json["status"]["error"]
            assert (reply.status_code, error["code"]) in {
                (400, "unknown_parameter"),
                (400, "invalid"),
            }
            assert error["fields"][wrong].endswith(f"did you mean {meant}?")

    def test_changes_nothing_and_names_other_errors(self, product):
        alice = product.cast.headers("alice")
        before = product.client.get("/watchers/list", headers=alice).json["data"]["total"]
        for requested, wrong in (
            ({"chips": "cpu", "pager_channel": "#a"}, {"pager_channel"}),
            ({"pager_channel": "#a"}, {"pager_channel", "chips"}),
            ({"chips": "cpu", "data": {"token": "anm_x", "chips": "a"}}, {"data.chips"}),
            ({"chips": "cpu", "data": "anm"}, {"data"}),
            ({"chips": "cpu", "x" * 5000: 1}, {"x" * 100}),
        ):
            reply = product.client.post("/watcher/create", json=requested, headers=alice)
            assert reply.status_code == 400
            assert set(reply.json["status"]["error"]["fields"]) == wrong
        crowd = {f"unknown_{number}": 1 for number in range(1000)}
        reply = product.client.post("/watcher/create", json=crowd, headers=alice)
        assert len(reply.json["status"]["error"]["fields"]) <= 11
        after = product.client.get("/watchers/list", headers=alice).json["data"]["total"]
        assert after == before

    def test_reading_routes_ignore_it(self, product):
        alice = product.cast.headers("alice")
        assert product.client.get("/metrics?utm_source=mail", headers=alice).status_code == 200


def ask(product, route, path, method, request):
    """Send a request as the owner, with the session in a header, which GETs need on open routes."""
    if not route.is_page:
        headers = {"X-Session-Id": product.owner}
        return product.client.open(path, method=method, headers=headers, **request)
    client = product.app.test_client()
    if route.access is not ANYONE:
        client.set_cookie("session_id", product.owner)
    return client.open(path, method=method, headers={"Origin": "http://localhost"}, **request)
