"""What routes must neither take nor give: fields of other hands, secrets, other sites' pages."""

import json
import re

from sqlalchemy import text

from anomify.edge.access import ADMIN, OWNER, USER
from anomify.edge.contract import declared_routes
from tests.contract.test_tenants import ask, filled, kept_of_acme
from tests.kit.tenants import Product

# What no body may set; a role only where a route takes one.
SMUGGLED = {
    "org_id": 2,
    "id": 999_001,
    "role": "owner",
    "admin": "true",
    "is_admin": "true",
    "demo": "true",
    "is_demo": "true",
    "quota": 1_000_000,
    "metric_quota": 1_000_000,
    "password_hash": "x",
    "created_by": "Mallory",
    "actor": "Mallory",
}
SECRET_KEY = re.compile(r"hash|secret|password|salt|seed", re.IGNORECASE)
# Shown only once, to the user who made it; or no secret at all.
MAY_BE_SHOWN = {"webhook_secret"}


def keys_of(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys_of(item)


def changing(product: Product):
    return [
        route
        for route in declared_routes(product.app).values()
        if route.changes and route.inputs is not None and not route.is_page
    ]


class TestBodies:
    def test_declare_nothing_that_is_not_the_callers_to_set(self, product):
        of_ranks = {"role", "admin"}
        forbidden = set(SMUGGLED) - of_ranks
        for route in declared_routes(product.app).values():
            named = set(route.inputs.model_fields if route.inputs else ())
            assert named & forbidden == set(), route.endpoint
            if named & of_ranks:
                assert route.access in {ADMIN, OWNER, USER}, route.endpoint

    def test_change_nothing_that_they_do_not_declare(self, product):
        requested = 0
        before = facts(product)
        for route in changing(product):
            if route.rules in {("/org/delete",), ("/user/delete",)}:
                continue
            extra = {
                name: value
                for name, value in SMUGGLED.items()
                if name not in route.inputs.model_fields
            }
            session_id = product.fresh_owner()[0]
            given = {**filled(product, route), **extra}
            for reply in ask(product, route, given, {"X-Session-Id": session_id}):
                assert reply.status_code < 500, (route.endpoint, reply.text)
                requested += 1
        after = facts(product)
        assert requested > 40
        assert after["orgs"] == before["orgs"]
        assert after["of globex"] == before["of globex"]
        assert 999_001 not in after["user ids"]
        assert "Mallory" not in repr(kept_of_acme(product))


def facts(product: Product):
    """What no body may have changed: quotas, demo flags, the users of Globex, ids."""
    with product.database.engine.connect() as connection:

        def rows(statement: str):
            return sorted(map(repr, connection.execute(text(statement))))

        return {
            "orgs": rows("SELECT id, metric_quota, is_demo FROM orgs"),
            "of globex": rows("SELECT id, org_id, role FROM users WHERE email LIKE '%globex%'"),
            "user ids": [row[0] for row in connection.execute(text("SELECT id FROM users"))],
        }


class TestReplies:
    def test_hold_no_secret_that_is_kept(self, product):
        seen = 0
        session_id = product.fresh_owner()[0]
        for route in declared_routes(product.app).values():
            if route.changes or route.is_page or route.tag == "doc":
                continue
            for reply in ask(product, route, filled(product, route), {"X-Session-Id": session_id}):
                if reply.mimetype != "application/json":
                    continue
                result = json.loads(reply.text)
                bad = {key for key in keys_of(result) if SECRET_KEY.search(key)} - MAY_BE_SHOWN
                assert bad == set(), route.endpoint
                assert "$argon2" not in reply.text
                for token in product.tokens.values():
                    assert token.split("_")[2] not in reply.text
                seen += reply.status_code == 200
        assert seen > 60


class TestOtherSites:
    def test_may_read_nothing_unless_the_operator_lists_them(self, product):
        for route in declared_routes(product.app).values():
            for rule in route.rules:
                if "<" in rule or rule == "/flux/events":
                    # Made for pages of other sites: it takes their key and tells nothing.
                    continue
                for method in ("OPTIONS", *route.methods):
                    reply = product.client.open(
                        rule,
                        method=method,
                        headers={
                            "Origin": "https://evil.example",
                            "Access-Control-Request-Method": "POST",
                        },
                    )
                    named = [name for name, _ in reply.headers if name.startswith("Access-Control")]
                    assert named == [], rule
