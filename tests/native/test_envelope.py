"""The native wire: exactly these fields around every reply."""

import pytest
import time_machine

from anomify.native import ping
from anomify.native.user import account
from tests.factories import make_cast
from tests.kit.web import make_app, probe_blueprint, strict

FIELDS = {
    "created_timestamp",
    "created_string",
    "duration",
    "language",
    "timezone",
    "code",
    "oldest_cached_component_age",
    "session_id",
    "org_onboarding_status_id",
    "api_host",
    "user_onboarding_flags",
}
FLAGS = {
    "main_intro",
    "alerts_intro",
    "alerts_from_search",
    "training_intro",
    "alert_created",
    "test_alert_sent",
    "two_alerts_sent",
    "pattern_trained",
}


@pytest.fixture
def client(database, tmp_path):
    app = make_app(
        database,
        tmp_path,
        [probe_blueprint(), ping.blueprint, account.blueprint],
        public_url="https://metrics.example:8443/",
    )
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        cast = make_cast()
        cast.acme.timezone = "Asia/Tokyo"
        cast.acme.onboarding_status_id = 300
    return cast


class TestStatus:
    def test_has_these_fields_for_a_user(self, client, cast):
        with time_machine.travel("2026-11-20T20:30:00Z", tick=False):
            data = strict(client.get("/probe/viewer", headers=cast.headers("bob")))
        assert set(data) == {"status", "data"}
        status = data["status"]
        assert set(status) == FIELDS
        assert status["created_timestamp"] == 1795206600
        assert status["created_string"] == "2026-11-21 05:30:00 JST"
        assert status["timezone"] == {"timezone_type": 3, "timezone": "Asia/Tokyo"}
        assert (status["language"], status["code"]) == ("en-gb", 200)
        assert status["oldest_cached_component_age"] == 0
        assert status["session_id"] == cast.sessions["bob"]
        assert status["org_onboarding_status_id"] == 300
        assert status["api_host"] == "metrics.example:8443"
        assert set(status["user_onboarding_flags"]) == FLAGS
        assert 0 <= status["duration"] < 60

    def test_has_the_same_fields_for_an_anonymous_caller(self, client):
        status = strict(client.get("/probe/anyone"))["status"]
        assert set(status) == FIELDS
        assert status["timezone"]["timezone"] == "UTC"
        assert status["org_onboarding_status_id"] is None
        assert status["user_onboarding_flags"] == {}

    def test_has_an_error_in_failures(self, client):
        data = strict(client.get("/probe/viewer"))
        assert set(data["status"]) == FIELDS | {"error"}
        assert data["status"]["code"] == 401
        assert data["data"] == {}

    def test_is_the_same_at_an_address_that_does_not_exist(self, client):
        reply = client.get("/no/such/thing")
        assert set(strict(reply)["status"]) == FIELDS | {"error"}
        assert reply.mimetype == "application/json"
