"""/watcher and /watchers over HTTP: every field, every refusal, and access."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database, session
from anomify.delivery.model import Delivery
from anomify.native import watcher
from anomify.org.sealing import PURPOSE, unseal
from anomify.watcher.model import Watcher
from tests.factories import (
    Cast,
    make_anomaly,
    make_cast,
    make_metric,
    make_token,
    make_watcher,
)
from tests.kit.web import error, make_app, strict

URL = "https://hooks.example/services/T0/secret"
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
CHANGES = ("/watcher/create", "/watcher/{}/update", "/watcher/{}/delete", "/watcher/{}/undelete")


@dataclass
class Ward:
    """An app with the watcher routes, and one watcher of Acme with two metrics it is about."""

    client: FlaskClient
    database: Database
    cast: Cast
    watcher_id: int

    def post(self, url: str, who: str = "bob", **fields: Any) -> TestResponse:
        return self.client.post(url, headers=self.cast.headers(who), json=fields)

    def saved(self, url: str, who: str = "bob", **fields: Any) -> Any:
        reply = self.post(url, who, **fields)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def read(self, url: str, who: str = "bob", **query: Any) -> Any:
        reply = self.client.get(url, headers=self.cast.headers(who), query_string=query)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def rows(self, model: Any) -> list[Any]:
        with self.database.unit_of_work(write=False):
            return list(session().scalars(select(model)))


@pytest.fixture
def ward(database: Database, tmp_path: Path) -> Iterator[Ward]:
    with database.unit_of_work():
        cast = make_cast()
        metric = make_metric(cast.acme, "shop.orders.count")
        make_metric(cast.acme, "shop.errors")
        make_metric(cast.acme, "cpu")
        make_anomaly(metric, now())
        made = make_watcher(cast.acme, "shop", name="Shop", webhook_url=URL)
    app = make_app(database, tmp_path, [watcher.blueprint])
    yield Ward(app.test_client(), database, cast, made.id)
    app.extensions["anomify"].points.close()


class TestCreate:
    def test_takes_the_onboarding_step(self, ward: Ward) -> None:
        ward.saved("/watcher/create", chips="shop", name="Shop")
        for who, has_taken in (("bob", True), ("alice", False)):
            data = ward.client.get("/watchers", headers=ward.cast.headers(who))
            flags = strict(data)["status"]["user_onboarding_flags"]
            assert {step for step, is_taken in flags.items() if is_taken} == (
                {"alert_created"} if has_taken else set()
            )

    def test_creates_a_watcher_with_every_field(self, ward: Ward) -> None:
        bob = ward.cast.bob
        made = ward.saved(
            "/watcher/create",
            chips="Shop, orders",
            name="Orders",
            alert="true",
            severity="medium",
            expiration_time=2,
            expiration_time_unit="hour",
            email_user_ids=str(bob.id),
            webhook_url=URL,
            webhook_secret=SECRET,
        )

        shown = made["watcher"]
        assert shown.pop("id") != ward.watcher_id
        assert abs(shown.pop("created_timestamp") - now().timestamp()) < 60
        notified = [(each["kind"], each["name"]) for each in shown.pop("contact_points")]
        assert notified == [("email", "E-mail to Bob"), ("webhook", "Webhook to hooks.example")]
        assert shown == {
            "name": "Orders",
            "chips": ["Shop", "orders"],
            "alert": True,
            "severity": "medium",
            "expiration_time": 2,
            "expiration_time_unit": "hour",
            "group_wait_seconds": 0,
            "sustain_seconds": 0,
            "group_interval_seconds": 300,
            "recover_seconds": 0,
            "reminder_seconds": None,
            "escalation": [],
            "threshold": None,
            "summary_report_frequency": None,
            "summary_report_user_ids": [],
            "next_summary_timestamp": None,
            "contact_point_ids": [],
            "email_user_ids": [bob.id],
            "sms_user_ids": [],
            "slack_channel": None,
            "slack_mention_user_ids": [],
            "teams_webhook": None,
            "webhook_url": URL,
            "webhook_stopped": False,
            "problem": None,
            "created_by": "Bob",
            "deleted": False,
            "deleted_timestamp": None,
            "metrics": 1,
            "anomalies_7d": 1,
        }
        assert (made["metrics_matched"], made["warning"], made["test_alert"]) == (1, None, None)
        assert made["webhook_secret"] == SECRET

    def test_accepts_forms_and_lists(self, ward: Ward) -> None:
        form = {"chips": "cpu", "email_user_ids": f"{ward.cast.bob.id},{ward.cast.alice.id}"}
        reply = ward.client.post("/watcher/create", headers=ward.cast.headers("bob"), data=form)
        listed = ward.saved(
            "/watcher/create",
            chips=["cpu"],
            email_user_ids=[ward.cast.bob.id, ward.cast.alice.id],
        )

        shown = strict(reply)["data"]["watcher"]
        assert shown["email_user_ids"] == listed["watcher"]["email_user_ids"]
        assert shown["chips"] == ["cpu"]

    def test_shows_the_secret_once(self, ward: Ward) -> None:
        made = ward.saved("/watcher/create", chips="cpu", webhook_url=URL)
        secret = made["webhook_secret"]

        assert secret.startswith("whsec_")
        assert secret not in str(ward.read("/watchers/list"))
        row = next(row for row in ward.rows(Watcher) if row.id == made["watcher"]["id"])
        key = Settings(secret_key="k" * 64).key_for(PURPOSE)
        assert unseal(key, ward.cast.acme.id, row.webhook_secret_sealed) == secret
        changed = ward.saved(f"/watcher/{row.id}/update", name="Other")
        assert changed["webhook_secret"] is None

    def test_warns_where_no_metric_matches_yet(self, ward: Ward) -> None:
        made = ward.saved("/watcher/create", chips="nowhere")

        assert made["metrics_matched"] == 0
        assert "later" in made["warning"]

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({}, "chips"),
            ({"chips": ""}, "chips"),
            ({"chips": '["a\\u0000b"]'}, "chips"),
            ({"chips": ["a\u202eb"]}, "chips"),
            ({"chips": "cpu", "name": "\x1b[31mred"}, "name"),
            ({"chips": "cpu", "severity": "loud"}, "severity"),
            ({"chips": "cpu", "expiration_time": 5}, "expiration_time"),
            ({"chips": "cpu", "expiration_time": "soon"}, "expiration_time"),
            ({"chips": "cpu", "webhook_url": "http://127.0.0.1/"}, "webhook_url"),
            ({"chips": "cpu", "email_user_ids": "9999"}, "email_user_ids"),
        ],
    )
    def test_names_the_unusable_field(self, ward: Ward, fields: dict[str, Any], wrong: str) -> None:
        reply = ward.post("/watcher/create", **fields)

        assert reply.status_code == 400
        assert list(error(reply)["fields"]) == [wrong]
        assert len(ward.rows(Watcher)) == 1

    def test_refuses_recipients_of_other_orgs(self, ward: Ward) -> None:
        reply = ward.post("/watcher/create", chips="cpu", email_user_ids=[ward.cast.charlie.id])

        assert (reply.status_code, len(ward.rows(Watcher))) == (400, 1)

    def test_sends_a_test_message_when_asked(self, ward: Ward) -> None:
        made = ward.saved(
            "/watcher/create",
            chips="cpu",
            webhook_url=URL,
            email_user_ids=[ward.cast.bob.id],
            send_test_alert=True,
        )

        assert made["test_alert"] == 2
        assert {row.transition for row in ward.rows(Delivery)} == {"test"}

    def test_a_machine_is_recorded_by_the_name_of_its_token(self, ward: Ward) -> None:
        with ward.database.unit_of_work():
            _, secret = make_token(ward.cast.acme, "write", name="deploys")
        reply = ward.client.post(
            "/watcher/create", headers={"X-Auth-Token": secret}, json={"chips": "cpu"}
        )

        assert strict(reply)["data"]["watcher"]["created_by"] == "token:deploys"


class TestUpdate:
    def test_changes_only_the_named_fields(self, ward: Ward) -> None:
        shown = ward.saved(f"/watcher/{ward.watcher_id}/update", alert=False, severity="low")

        assert (shown["watcher"]["alert"], shown["watcher"]["severity"]) == (False, "low")
        assert (shown["watcher"]["name"], shown["watcher"]["chips"]) == ("Shop", ["shop"])

    def test_a_second_test_message_has_to_wait_and_nothing_is_saved(self, ward: Ward) -> None:
        path = f"/watcher/{ward.watcher_id}/update"
        ward.saved(path, send_test_alert=True)
        reply = ward.post(path, send_test_alert=True, name="Renamed")

        assert reply.status_code == 429
        assert int(reply.headers["Retry-After"]) == 60
        assert [row.name for row in ward.rows(Watcher)] == ["Shop"]

    @pytest.mark.parametrize("watcher_id", ["0", "9999", "99999999999999999999"])
    def test_does_not_find_a_missing_watcher(self, ward: Ward, watcher_id: str) -> None:
        assert ward.post(f"/watcher/{watcher_id}/update", name="x").status_code == 404


class TestDelete:
    def test_can_be_undone(self, ward: Ward) -> None:
        path = f"/watcher/{ward.watcher_id}"

        assert ward.saved(f"{path}/delete")["watcher"]["deleted"] is True
        assert ward.read("/watchers/list")["total"] == 0
        assert ward.read("/watchers/list", include_deleted="true")["total"] == 1
        assert ward.post(f"{path}/delete").status_code == 404
        assert ward.saved(f"{path}/undelete")["watcher"]["deleted_timestamp"] is None
        assert ward.read("/watchers/list")["total"] == 1


class TestList:
    def test_returns_how_many_metrics_each_watcher_matches(self, ward: Ward) -> None:
        listed = ward.read("/watchers/list")

        assert listed["total"] == 1
        assert (listed["watchers"][0]["metrics"], listed["watchers"][0]["anomalies_7d"]) == (2, 1)

    def test_returns_why_the_latest_message_failed(self, ward: Ward) -> None:
        ward.saved(f"/watcher/{ward.watcher_id}/update", send_test_alert=True)
        with ward.database.unit_of_work():
            row = session().scalars(select(Delivery)).one()
            row.attempts, row.last_error = 1, "The receiver answered 500."

        assert ward.read("/watchers/list")["watchers"][0]["problem"] == "The receiver answered 500."

    def test_shows_a_webhook_in_full_only_to_those_who_may_change_it(self, ward: Ward) -> None:
        urls = {
            who: ward.read("/watchers/list", who)["watchers"][0]["webhook_url"]
            for who in ("bob", "dave")
        }

        assert urls == {"bob": URL, "dave": "https://hooks.example/…"}

    def test_is_empty_for_an_org_without_watchers(self, ward: Ward) -> None:
        assert ward.read("/watchers/list", "charlie") == {"watchers": [], "total": 0}


class TestChips:
    def test_suggests_words_that_narrow_the_choice(self, ward: Ward) -> None:
        assert ward.read("/watchers/chips", chips="shop") == {
            "chips": [
                {"chip": "count", "count": 1},
                {"chip": "errors", "count": 1},
                {"chip": "orders", "count": 1},
            ],
            "metrics_matched": 2,
        }
        assert ward.read("/watchers/chips", chips="shop", q="OR")["chips"] == [
            {"chip": "errors", "count": 1},
            {"chip": "orders", "count": 1},
        ]

    @pytest.mark.parametrize("chips", [["a"] * 21, ["a" * 201]])
    def test_refuses_too_many_or_too_long_search_words(self, ward: Ward, chips: list[str]) -> None:
        reply = ward.post("/watchers/chips", chips=chips)
        assert (reply.status_code, error(reply)["code"]) == (400, "invalid")

    def test_shows_no_words_of_other_orgs(self, ward: Ward) -> None:
        assert ward.read("/watchers/chips", "charlie") == {"chips": [], "metrics_matched": 0}


class TestAccess:
    @pytest.mark.parametrize("path", CHANGES)
    def test_charlie_of_globex_finds_no_watcher_of_acme(self, ward: Ward, path: str) -> None:
        requested = {} if path.endswith("delete") else {"chips": "shop", "name": "Mine"}
        reply = ward.post(path.format(ward.watcher_id), "charlie", **requested)

        rows = [row for row in ward.rows(Watcher) if row.org_id == ward.cast.acme.id]
        assert reply.status_code == (200 if "create" in path else 404)
        assert [(row.name, row.deleted_at) for row in rows] == [("Shop", None)]

    @pytest.mark.parametrize("path", CHANGES)
    def test_a_viewer_changes_nothing(self, ward: Ward, path: str) -> None:
        reply = ward.post(path.format(ward.watcher_id), "dave", chips="shop", name="Mine")

        assert reply.status_code == 403
        assert [row.name for row in ward.rows(Watcher)] == ["Shop"]

    @pytest.mark.parametrize("path", [*CHANGES, "/watchers/list", "/watchers/chips"])
    def test_an_anonymous_caller_is_refused(self, ward: Ward, path: str) -> None:
        reply = ward.client.post(path.format(ward.watcher_id), json={"chips": "shop"})

        assert reply.status_code == 401
        assert len(ward.rows(Watcher)) == 1

    @pytest.mark.parametrize("scope", ["ingest", "read"])
    def test_a_token_without_the_scope_changes_nothing(self, ward: Ward, scope: str) -> None:
        with ward.database.unit_of_work():
            _, secret = make_token(ward.cast.acme, scope)
        reply = ward.client.post(
            "/watcher/create", headers={"X-Auth-Token": secret}, json={"chips": "cpu"}
        )

        assert reply.status_code == 403
        assert len(ward.rows(Watcher)) == 1
