"""/org/tokens, on both databases."""

from datetime import timedelta

import pytest
import time_machine

from anomify.clock import now
from anomify.native.org import audit as org_audit
from anomify.native.org import tokens as org_token
from tests.factories import make_token, make_user
from tests.kit.web import error, make_app, probe_blueprint, strict

READ = "/probe/viewer"


@pytest.fixture
def client(database, tmp_path):
    app = make_app(
        database, tmp_path, [org_audit.blueprint, org_token.blueprint, probe_blueprint()]
    )
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def make(client, cast):
    def make(who="alice", **requested):
        requested = {"name": "robot", "scopes": "read", **requested}
        return client.post("/org/tokens/create", data=requested, headers=cast.headers(who))

    return make


def reads_with(client, secret, address="127.0.0.1"):
    reply = client.get(
        READ, headers={"X-Auth-Token": secret}, environ_base={"REMOTE_ADDR": address}
    )
    return reply.status_code


class TestCreate:
    def test_shows_the_secret_once_and_lists_the_rest(self, client, cast, make):
        made = strict(make(scopes="ingest,read"))["data"]
        assert reads_with(client, made["secret"]) == 200
        listed = client.get("/org/tokens", headers=cast.headers("alice"))
        assert made["secret"] not in listed.text
        assert made["secret"].split("_")[2] not in listed.text
        (data,) = strict(listed)["data"]["tokens"]
        assert (data["scopes"], data["created_by"], data["works"]) == (
            ["ingest", "read"],
            "Alice",
            True,
        )
        assert data["last_used_address"] == "127.0.0.1"
        assert data["last_used_timestamp"] > 0

    def test_refuses_scopes_that_the_maker_does_not_have(self, client, cast, database):
        with database.unit_of_work():
            _, admin_token = make_token(cast.acme, "read", "admin")
        reply = client.post(
            "/org/tokens/create",
            json={"name": "more", "scopes": ["write"]},
            headers={"X-Auth-Token": admin_token},
        )
        assert reply.status_code == 403
        assert error(reply)["code"] == "scope_beyond_yours"

    def test_is_for_admins(self, make):
        assert make("bob").status_code == 403
        assert make("dave").status_code == 403

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("scopes", ""),
            ("scopes", "all"),
            ("networks", "home"),
            ("networks", ",".join(["192.0.2.0/24"] * 21)),
            ("expires", "1"),
        ],
    )
    def test_names_the_unusable_field(self, make, field, value):
        reply = make(**{f"{field}_timestamp" if field == "expires" else field: value})
        assert reply.status_code == 400
        assert field in error(reply)["fields"]

    def test_a_legacy_token_has_32_hexadecimal_digits_and_may_be_in_the_body(self, client, make):
        secret = strict(make(legacy="true"))["data"]["secret"]
        assert len(bytes.fromhex(secret)) == 16
        assert reads_with(client, secret) == 200
        reply = client.post(READ, json={"data": {"token": secret}})
        assert strict(reply)["data"]["caller"] == "token:robot"
        # In an address it may be a session's id, so it says nothing there.
        assert client.get(READ, query_string={"token": secret}).status_code == 401

    def test_a_token_with_networks_is_valid_only_from_there(self, client, make):
        secret = strict(make(networks="192.0.2.0/24,2001:db8::/32"))["data"]["secret"]
        for address, status in (
            ("192.0.2.9", 200),
            ("::ffff:192.0.2.9", 200),
            ("2001:db8::1", 200),
            ("198.51.100.1", 403),
            ("nowhere", 403),
        ):
            assert reads_with(client, secret, address) == status


class TestRotate:
    def test_keeps_the_old_token_valid_for_a_day(self, client, cast, make):
        old = strict(make())["data"]
        headers = cast.headers("alice")
        fresh = strict(
            client.post(
                "/org/tokens/rotate", data={"token_id": old["token"]["id"]}, headers=headers
            )
        )["data"]
        assert fresh["token"]["name"] == "robot"
        assert reads_with(client, old["secret"]) == reads_with(client, fresh["secret"]) == 200
        listed = strict(client.get("/org/tokens", headers=headers))["data"]["tokens"]
        assert listed[1]["replaced_by"] == fresh["token"]["id"]
        with time_machine.travel(now() + timedelta(hours=24)):
            assert reads_with(client, old["secret"]) == 401
            assert reads_with(client, fresh["secret"]) == 200

    def test_keeps_the_lifetime_and_does_not_extend_the_old_token(self, client, cast, make):
        expires = int(now().timestamp()) + 3600
        old = strict(make(expires_timestamp=expires))["data"]["token"]
        with time_machine.travel(now() + timedelta(minutes=30)):
            headers = cast.headers("alice")
            client.post("/org/tokens/rotate", data={"token_id": old["id"]}, headers=headers)
            fresh, old = strict(client.get("/org/tokens", headers=headers))["data"]["tokens"]
        assert old["expires_timestamp"] == expires
        assert abs(fresh["expires_timestamp"] - expires - 1800) <= 2

    def test_is_refused_for_a_rotated_or_revoked_token(self, client, cast, make):
        headers = cast.headers("alice")
        requested = {"token_id": strict(make())["data"]["token"]["id"]}
        assert client.post("/org/tokens/rotate", data=requested, headers=headers).status_code == 200
        assert client.post("/org/tokens/rotate", data=requested, headers=headers).status_code == 409
        client.post("/org/tokens/revoke", data=requested, headers=headers)
        assert client.post("/org/tokens/rotate", data=requested, headers=headers).status_code == 409


class TestRevoke:
    def test_revokes_at_once_and_only_tokens_of_the_org(self, client, cast, make):
        made = strict(make())["data"]
        requested = {"token_id": made["token"]["id"]}
        for route in ("revoke", "rotate"):
            reply = client.post(
                f"/org/tokens/{route}", data=requested, headers=cast.headers("charlie")
            )
            assert reply.status_code == 404
        assert reads_with(client, made["secret"]) == 200
        reply = client.post("/org/tokens/revoke", data=requested, headers=cast.headers("alice"))
        assert strict(reply)["data"]["token"]["works"] is False
        assert reads_with(client, made["secret"]) == 401


class TestAudit:
    def test_lists_each_step_with_its_address(self, client, cast, make):
        requested = {"token_id": strict(make())["data"]["token"]["id"]}
        headers = cast.headers("alice")
        client.post(
            "/org/tokens/rotate",
            data=requested,
            headers=headers,
            environ_base={"REMOTE_ADDR": "192.0.2.44"},
        )
        client.post("/org/tokens/revoke", data=requested, headers=headers)
        answer = strict(client.get("/org/audit?action=token", headers=headers))["data"]
        assert [entry["action"] for entry in answer["entries"]] == [
            "token.revoke",
            "token.rotate",
            "token.create",
            "token.create",
        ]
        assert answer["total"] == 4
        assert answer["entries"][1]["address"] == "192.0.2.44"
        assert answer["entries"][3]["after"]["scopes"] == "read"
        part = strict(client.get("/org/audit?limit=1&offset=3&from=1", headers=headers))["data"]
        assert (len(part["entries"]), part["total"]) == (1, 4)
        assert strict(client.get("/org/audit?until=1", headers=headers))["data"]["total"] == 0

    def test_is_for_admins_of_the_org(self, client, cast, make, database):
        make()
        with database.unit_of_work():
            _, reader = make_token(cast.acme, "ingest", "read", "write")
            _, admin = make_token(cast.acme, "admin")
            make_user(cast.acme, "Erin", "admin")
        for headers, status in (
            (cast.headers("bob"), 403),
            (cast.headers("dave"), 403),
            ({}, 401),
            ({"X-Auth-Token": reader}, 403),
            ({"X-Auth-Token": admin}, 200),
        ):
            assert client.get("/org/audit", headers=headers).status_code == status
        data = strict(client.get("/org/audit", headers=cast.headers("charlie")))["data"]
        assert data == {"entries": [], "total": 0}
