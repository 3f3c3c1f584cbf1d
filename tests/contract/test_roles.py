"""Every route by every role and every scope: callers without the right are refused."""

import re

import pytest

from anomify.auth.subject import OrgSubject, UserSubject
from anomify.edge.access import BUILT_IN
from anomify.edge.contract import declared_routes
from anomify.org.model import Org, Token
from anomify.user.model import User
from tests.factories import make_session, make_token, make_user

# Who may ask a route of each access. It is written out here, so that a change is seen in a diff.
MAY = {
    "public": {"viewer", "editor", "admin", "owner", "ingest", "read", "write", "admin token"},
    "anyone": {"viewer", "editor", "admin", "owner", "ingest", "read", "write", "admin token"},
    "signed": {"viewer", "editor", "admin", "owner", "read"},
    "viewer": {"viewer", "editor", "admin", "owner", "read"},
    "editor": {"editor", "admin", "owner", "write"},
    "commenter": {"viewer", "editor", "admin", "owner", "write"},
    "admin": {"admin", "owner", "admin token"},
    "owner": {"owner"},
    "user": {"viewer", "editor", "admin", "owner"},
    # The ingestion routes verify the token themselves.
    "ingest": set(),
}
ROLES = ("viewer", "editor", "admin", "owner")
TOKENS = {"ingest": "ingest", "read": "read", "write": "write", "admin token": "admin"}

_PLACEHOLDER = re.compile(r"<[^>]+>")


def subject_of(caller):
    if caller in ROLES:
        return UserSubject(User(role=caller, name=caller), Org(name="Acme"), b"")
    return OrgSubject(Org(name="Acme"), Token(name=caller, scopes=TOKENS[caller]))


class TestRights:
    def test_are_written_down_for_every_access(self):
        assert set(MAY) == {access.name for access in BUILT_IN}

    @pytest.mark.parametrize("caller", [*ROLES, *TOKENS])
    def test_match_the_reviewed_table(self, caller):
        may = {access.name for access in BUILT_IN if access.allows(subject_of(caller))}
        assert may == {access for access, askers in MAY.items() if caller in askers}


def check_routes_refuse(product, routes, may):
    """Ask each route by every role and scope that its access has to refuse; count the requests."""
    with product.database.unit_of_work():
        cast = product.cast
        headers = {
            role: {"X-Session-Id": make_session(make_user(cast.acme, role, role))} for role in ROLES
        }
        headers |= {
            name: {"X-Auth-Token": make_token(cast.acme, scope)[1]}
            for name, scope in TOKENS.items()
        }
        cookies = {
            role: {"Cookie": f"session_id={make_session(make_user(cast.acme, role, role))}"}
            for role in ROLES
        }
    requested = 0
    for route in routes:
        assert route.access.name in may, f"write down who may ask: {route.access.name}"
        if not route.access.identifies_caller:
            continue
        path = _PLACEHOLDER.sub("1", route.rule)
        for caller in {*ROLES, *TOKENS} - may[route.access.name]:
            # Pages look at cookies alone, so a token is no caller to them.
            sent = cookies.get(caller, {}) if route.is_cookie_only else headers[caller]
            for method in route.methods:
                reply = product.client.open(path, method=method, headers=sent)
                requested += 1
                expected = {302, 403, 405} if route.is_cookie_only else {403}
                assert reply.status_code in expected, (caller, method, route.endpoint)
    return requested


class TestRoutes:
    def test_refuse_callers_without_the_right(self, product):
        routes = declared_routes(product.app).values()
        assert check_routes_refuse(product, routes, MAY) > 200
