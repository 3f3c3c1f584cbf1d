"""Pages of other sites: listed ones may read the API, without cookies; the others nothing."""

import pytest

from anomify.config import load
from anomify.edge.contract import declared_routes
from anomify.errors import ConfigError
from tests.kit.web import make_app, probe_blueprint

LISTED = "https://app.acme.example"
OTHERS = [
    "https://app.acme.example.evil.example",
    "https://evil.example",
    "http://app.acme.example",
    "https://app.acme.example:8443",
    "null",
    "*",
]


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [probe_blueprint()], cors_origins=(LISTED,))
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


def routes(client):
    return [
        route.rule
        for route in declared_routes(client.application).values()
        if "<" not in route.rule
    ]


class TestListedOrigin:
    def test_may_read_every_route_and_never_with_cookies(self, client):
        for rule in routes(client):
            reply = client.get(rule, headers={"Origin": LISTED})
            assert reply.headers["Access-Control-Allow-Origin"] == LISTED, rule
            assert "Access-Control-Allow-Credentials" not in reply.headers
            assert "Origin" in reply.vary

    def test_preflight_lists_what_it_may_send(self, client, cast):
        asks = {"Origin": LISTED, "Access-Control-Request-Method": "POST"}
        reply = client.options("/probe/viewer", headers=asks)
        assert reply.status_code == 200
        assert reply.headers["Access-Control-Allow-Methods"] == "GET, POST"
        allowed = reply.headers["Access-Control-Allow-Headers"]
        assert allowed == "X-Session-Id, X-Auth-Token, Content-Type"
        read = client.post("/probe/viewer", headers={"Origin": LISTED, **cast.headers("bob")})
        assert read.status_code == 200

    def test_changes_nothing_by_a_cookie(self, client, cast):
        cookie = {"Cookie": f"session_id={cast.sessions['bob']}", "Origin": LISTED}
        assert client.post("/probe/editor/change", headers=cookie).status_code == 403


class TestOtherOrigins:
    @pytest.mark.parametrize("origin", OTHERS)
    def test_may_read_nothing(self, client, origin):
        for rule in routes(client):
            for reply in (
                client.get(rule, headers={"Origin": origin}),
                client.options(
                    rule, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
                ),
            ):
                named = [name for name, _ in reply.headers if name.startswith("Access-Control")]
                assert named == [], (rule, origin)


class TestSetting:
    @pytest.mark.parametrize(
        "wrong", ["*", "https://*.example", "app.example", "https://App.example", "https://a.b/c"]
    )
    def test_takes_exact_origins_only(self, wrong):
        with pytest.raises(ConfigError, match="cors_origins"):
            load({"cors_origins": wrong})
