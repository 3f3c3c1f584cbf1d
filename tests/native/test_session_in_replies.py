"""Every reply in the envelope contains the session id, except of routes without sessions."""

import pytest

from anomify.edge.contract import declared_routes
from tests.kit.tenants import open_product

# Nothing there works on sessions: health, ingestion, scripts, documentation, payment webhooks.
NO_DELIVERY = "00000000-0000-0000-0000-000000000000"
WITHOUT = ("/ping", "/-/", "/flux/", "/api/v1/", "/js/", "/doc")
WEBHOOKS = {
    "/org/slackcallback",
    "/org/telegramcallback",
    "/org/stripecallback",
    "/billing/checkoutcallback",
}
SESSION_ID_LENGTH = 32


@pytest.fixture(scope="module")
def product(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sessions")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        yield opened


def addresses(product):
    """Every address of the native API that works on sessions, with a method."""
    for route in declared_routes(product.app).values():
        for rule in route.rules:
            if route.is_page or rule.startswith(WITHOUT) or rule in WEBHOOKS:
                continue
            path = rule.replace("<path:metric>", "cpu").replace("<alert_code>", "0" * 32)
            path = path.replace("<delivery_id>", NO_DELIVERY)
            for name in route.inputs.model_fields if route.inputs else {}:
                path = path.replace(f"<int:{name}>", "1")
            assert "<" not in path
            for method in route.methods:
                yield path, method


class TestStatus:
    def test_returns_a_session_to_an_anonymous_caller(self, product):
        requested = list(addresses(product))
        assert len(requested) > 100
        for path, method in requested:
            reply = product.client.open(path, method=method)
            result = reply.json["status"]["session_id"]
            assert len(result or "") == SESSION_ID_LENGTH, (path, method)
            again = product.client.open(path, method=method, headers={"X-Session-Id": result})
            assert again.json["status"]["session_id"] == result, (path, method)

    def test_returns_the_session_of_the_request(self, product):
        session_id = product.cast.sessions["dave"]
        for path in ("/misc/phonecodes", "/misc/timezones", "/misc/timesince?timestamp=1"):
            sep = "&" if "?" in path else "?"
            replies = [
                product.client.get(path, headers={"X-Session-Id": session_id}),
                product.client.get(f"{path}{sep}session_id={session_id}"),
                product.client.get(path, headers={"Cookie": f"session_id={session_id}"}),
                product.client.post(path, data={"session_id": session_id}),
                product.client.post(path, json={"session_id": session_id}),
                product.client.get(
                    path,
                    headers={
                        "X-Session-Id": session_id,
                        "X-Auth-Token": product.tokens["acme reader"],
                    },
                ),
            ]
            result = [reply.json["status"]["session_id"] for reply in replies]
            assert result == [session_id] * len(replies), path

    def test_returns_it_in_errors_too(self, product):
        headers = product.cast.headers("dave")
        token = product.tokens["acme reader"]
        for reply in (
            product.client.get("/nowhere", headers=headers),
            product.client.get("/login", headers=headers),
            product.client.get(f"/metrics?token={token}", headers=headers),
            product.client.get("/metrics?limit=x", headers=headers),
            product.client.post("/metrics", data="{", headers=headers),
        ):
            assert reply.status_code >= 400
            assert reply.json["status"]["session_id"] == headers["X-Session-Id"]

    def test_returns_none_for_routes_without_sessions(self, product):
        reply = product.client.get("/ping", headers=product.cast.headers("dave"))
        assert reply.json["status"]["session_id"] is None
        for path in ("/ping", "/-/healthy", "/doc/openapi", "/js/eventsender", "/static/none"):
            assert "Set-Cookie" not in product.client.get(path).headers, path
