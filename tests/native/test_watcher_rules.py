"""The times, escalation, thresholds, summaries, tests and backtests of watchers over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.clock import now
from anomify.db import Database, session
from anomify.native import watcher
from tests.factories import (
    Cast,
    make_anomaly,
    make_cast,
    make_contact_point,
    make_metric,
    make_watcher,
)
from tests.kit.web import error, make_app, strict

CREATE = "/watcher/create"
THRESHOLD = "/watcher/threshold"


class Caller:
    """Bob of Acme, with two contact points."""

    def __init__(self, client: FlaskClient, cast: Cast, points: list[int]) -> None:
        self.client, self.cast, self.points = client, cast, points

    def post(self, url: str, **fields: Any) -> Any:
        return self.client.post(url, headers=self.cast.headers("bob"), json=fields)

    def saved(self, url: str, **fields: Any) -> Any:
        reply = self.post(url, **fields)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]

    def refused(self, url: str, **fields: Any) -> set[str]:
        reply = self.post(url, **fields)
        assert reply.status_code == 400, reply.get_data(as_text=True)
        return {name.split(".")[0] for name in error(reply)["fields"]}


@pytest.fixture
def caller(database: Database, tmp_path: Path) -> Iterator[Caller]:
    with database.unit_of_work():
        cast = make_cast()
        points = [make_contact_point(cast.acme).id for _ in range(2)]
        make_anomaly(make_metric(cast.acme, 'shop.orders{env="prod"}'), now())
    app = make_app(database, tmp_path, [watcher.blueprint])
    yield Caller(app.test_client(), cast, points)
    app.extensions["anomify"].points.close()


class TestFields:
    def test_shows_what_was_saved_and_audits_it(self, caller: Caller, database: Database) -> None:
        first, later = caller.points
        fields = {
            "group_wait_seconds": 30,
            "sustain_seconds": 60,
            "group_interval_seconds": 600,
            "recover_seconds": 120,
            "reminder_seconds": 3600,
            "escalation": [{"after_minutes": 15, "contact_point_ids": [later]}],
            "summary_report_frequency": "monthly-17",
            "summary_report_user_ids": [caller.cast.bob.id],
        }
        made = caller.saved(CREATE, chips="shop", alert=True, contact_point_ids=[first], **fields)
        shown = made["watcher"]
        assert {name: shown[name] for name in fields} == fields
        assert shown["contact_point_ids"] == [first]
        assert {each["id"]: each["step"] for each in shown["contact_points"]} == {
            first: 0,
            later: 1,
        }
        assert shown["next_summary_timestamp"] > now().timestamp()
        url = f"/watcher/{shown['id']}/update"
        changed = caller.saved(url, reminder_seconds=0, escalation=[], summary_report_frequency="")
        shown = changed["watcher"]
        assert (shown["reminder_seconds"], shown["escalation"], shown["contact_points"][1:]) == (
            None,
            [],
            [],
        )
        assert shown["summary_report_frequency"] is None
        with database.unit_of_work(write=False):
            last = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
            assert last is not None
            assert last.before is not None
            assert last.before["reminder_seconds"] == 3600

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({"group_wait_seconds": -1}, "group_wait_seconds"),
            ({"sustain_seconds": 86_401}, "sustain_seconds"),
            ({"group_interval_seconds": 59}, "group_interval_seconds"),
            ({"recover_seconds": 10**12}, "recover_seconds"),
            ({"reminder_seconds": 1}, "reminder_seconds"),
            ({"escalation": [{"after_minutes": 0, "contact_point_ids": [1]}]}, "escalation"),
            ({"escalation": [{"after_minutes": 5, "contact_point_ids": []}]}, "escalation"),
            ({"escalation": [{"after_minutes": 5, "contact_point_ids": [999]}]}, "escalation"),
            ({"escalation": [{"after_minutes": 5}]}, "escalation"),
            ({"summary_report_frequency": "hourly"}, "summary_report_frequency"),
            ({"summary_report_frequency": "daily-10:00"}, "summary_report_user_ids"),
            ({"summary_report_user_ids": [999]}, "summary_report_user_ids"),
        ],
    )
    def test_names_what_is_wrong(self, caller: Caller, fields: dict[str, Any], wrong: str) -> None:
        assert caller.refused(CREATE, chips="shop", **fields) == {wrong}

    def test_notifies_each_contact_point_at_one_step(self, caller: Caller) -> None:
        first, later = caller.points
        step = [{"after_minutes": 5, "contact_point_ids": [later]}]
        both = {"contact_point_ids": [first, later], "escalation": step}
        assert caller.refused(CREATE, chips="shop", **both) == {"escalation"}
        made = caller.saved(CREATE, chips="shop", contact_point_ids=[first], escalation=step)
        url = f"/watcher/{made['watcher']['id']}/update"
        assert caller.refused(url, contact_point_ids=[later]) == {"contact_point_ids"}


class TestThreshold:
    def test_is_shown_in_words_and_can_be_taken_away(self, caller: Caller) -> None:
        made = caller.saved(
            THRESHOLD,
            chips="shop",
            operator="greater",
            value=90.5,
            times_in_a_row=3,
            function="median",
            function_seconds=600,
        )["watcher"]
        assert made["threshold"]["condition"] == (
            "the median of 10 minutes is above 90.5 for 3 points in a row"
        )
        url = f"/watcher/{made['id']}/update"
        assert caller.saved(url, value=91)["watcher"]["threshold"]["times_in_a_row"] == 3
        assert caller.refused(url, operator="no_data", value=5) == {"value"}
        silent = caller.saved(url, operator="no_data", value=600)["watcher"]["threshold"]
        assert silent["condition"] == "no data comes for 10 minutes"
        assert caller.saved(url, operator="")["watcher"]["threshold"] is None

    @pytest.mark.parametrize(
        ("fields", "wrong"),
        [
            ({"operator": "greater"}, "value"),
            ({"operator": "equal", "value": 1}, "operator"),
            ({"operator": "less", "value": 1, "times_in_a_row": 0}, "times_in_a_row"),
            (
                {"operator": "less", "value": 1, "function": "mode", "function_seconds": 5},
                "function",
            ),
            ({"operator": "less", "value": 1, "function": "mean"}, "function_seconds"),
            (
                {"operator": "less", "value": 1, "function": "mean", "function_seconds": 10**9},
                "function_seconds",
            ),
            ({"operator": "drop_off", "value": 101}, "value"),
            ({"operator": "no_data", "value": 59}, "value"),
            ({"operator": "no_data", "value": 60, "times_in_a_row": 2}, "times_in_a_row"),
        ],
    )
    def test_names_what_is_wrong(self, caller: Caller, fields: dict[str, Any], wrong: str) -> None:
        assert caller.refused(THRESHOLD, chips="shop", **fields) == {wrong}


class TestBacktest:
    def test_says_how_often_and_of_what(self, caller: Caller, database: Database) -> None:
        with database.unit_of_work():
            saved = make_watcher(caller.cast.acme, "env=prod").id
        for url, fields in (
            (f"/watcher/{saved}/backtest", {}),
            ("/watcher/backtest", {"chips": ["shop", "!dev"], "days": 7}),
        ):
            found = caller.saved(url, **fields)
            assert found["told"] == 1
            assert found["summary"].startswith("Would have told you once in ")
            [incident] = found["incidents"]
            assert incident["metric"] == 'shop.orders{env="prod"}'
            assert found["left_out"]
        none = caller.saved("/watcher/backtest", chips="env=dev")
        assert (none["told"], none["metrics_matched"]) == (0, 0)
        assert caller.refused("/watcher/backtest", chips="x", severity="loud") == {"severity"}


class TestTest:
    def test_says_why_nothing_arrived_without_secrets(self, caller: Caller) -> None:
        made = caller.saved(CREATE, chips="shop", webhook_url="https://hooks.invalid/hidden-path")
        found = caller.saved(f"/watcher/{made['watcher']['id']}/test")
        [tested] = found["tests"]
        assert (tested["kind"], tested["delivered"], found["delivered"]) == ("webhook", False, 0)
        assert tested["problem"]
        assert "hidden-path" not in str(tested["requests"])
