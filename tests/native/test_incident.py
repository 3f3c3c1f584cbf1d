"""/incident and /delivery over HTTP: what belongs together, who was told, and sending again."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from anomify.audit.model import AuditEntry
from anomify.clock import now
from anomify.db import Database, session
from anomify.delivery.model import Delivery, Notification
from anomify.job.model import DEAD, PENDING
from anomify.native import delivery, incident
from anomify.native.anomaly.blueprints import anomaly_blueprints
from tests.factories import (
    make_anomaly,
    make_cast,
    make_contact_point,
    make_delivery,
    make_incident,
    make_metric,
    make_watcher,
)
from tests.kit.web import error, make_app, strict

MINUTE = timedelta(minutes=1)


class Acme:
    """An org with an incident of three anomalies, and one that is over."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self.database = database
        self.app = make_app(
            database,
            data_dir,
            [incident.blueprint, delivery.blueprint, *anomaly_blueprints()],
        )
        with database.unit_of_work():
            self.cast = make_cast()
            acme = self.cast.acme
            names = ("shop.orders", "db.latency", "shop.errors")
            members = [
                make_anomaly(make_metric(acme, name), now() - MINUTE, minutes=None)
                for name in names
            ]
            made = make_incident(
                *members, first_anomaly_id=members[1].id, opened_at=now() - 2 * MINUTE
            )
            watcher = make_watcher(acme, name="Shop")
            sent = make_delivery(watcher, members[0], state="sent", recipient="Ops")
            dead = make_delivery(
                watcher, members[0], state=DEAD, settled_at=now(), last_error="It answered 500."
            )
            held = make_contact_point(acme, "webhook", name="Night shift")
            session().add(
                Notification(
                    org_id=acme.id,
                    incident_id=made.id,
                    watcher_id=watcher.id,
                    contact_point_id=held.id,
                    held_since=now(),
                    held_why="the silence “Deploy” is in force",
                    held_kind="silence",
                )
            )
            over = make_anomaly(make_metric(acme, "disk.free"), now() - 60 * MINUTE)
            ended = make_incident(over, is_open=False, closed_at=now(), ended_ms=1_795_000_000_000)
            self.incident_id, self.over_id = made.id, ended.id
            self.anomaly_id = members[0].id
            self.sent_id, self.dead_id = sent.id, dead.id

    def ask(self, path: str, who: str = "alice", method: str = "get", **given: Any) -> Any:
        client = self.app.test_client()
        where = {"query_string": given} if method == "get" else {"data": given}
        return getattr(client, method)(path, headers=self.cast.headers(who), **where)

    def data(self, path: str, **given: Any) -> Any:
        reply = self.ask(path, **given)
        assert reply.status_code == 200, reply.text
        return strict(reply)["data"]


@pytest.fixture
def acme(database: Database, tmp_path: Path):
    found = Acme(database, tmp_path)
    yield found
    found.app.extensions["anomify"].points.close()


def test_an_incident_shows_the_probable_first_mover_and_who_was_told(acme: Acme) -> None:
    shown = acme.data(f"/incident/{acme.incident_id}")

    assert shown["incident"]["metric"] == "db.latency"
    assert shown["anomalies"][0]["metric"] == "db.latency"
    assert {each["incident_id"] for each in shown["anomalies"]} == {acme.incident_id}
    assert shown["incident"]["anomalies_count"] == len(shown["anomalies"]) == 3
    states = {each["contact_point"]: each for each in shown["told"]}
    assert states["Night shift"]["state"] == "held"
    assert states["Night shift"]["held_why"] == "the silence “Deploy” is in force"
    others = [each for name, each in states.items() if name != "Night shift"]
    assert {each["state"] for each in others} == {"open"}
    assert {each["last_problem"] for each in others} == {None, "It answered 500."}
    assert "/metrics/moved?from=" in shown["moved_url"]


def test_lists_are_filtered_and_paged(acme: Acme) -> None:
    everything = acme.data("/incidents")
    assert (everything["total"], len(everything["incidents"])) == (2, 2)
    for given, ids in (
        ({"state": "open"}, [acme.incident_id]),
        ({"state": "ended"}, [acme.over_id]),
        ({"metric": "disk.free"}, [acme.over_id]),
        ({"metric": "shop.errors"}, [acme.incident_id]),
        ({"until": 1000}, []),
    ):
        assert [each["id"] for each in acme.data("/incidents", **given)["incidents"]] == ids, given
    assert len(acme.data("/incidents", limit=1)["incidents"]) == 1
    assert acme.data("/incidents", limit=1, offset=5)["incidents"] == []
    assert acme.ask("/incidents", metric="nothing.here").status_code == 404


def test_an_anomaly_names_its_incident(acme: Acme) -> None:
    shown = acme.data(f"/anomaly/{acme.anomaly_id}")
    assert shown["anomaly"]["incident_id"] == acme.incident_id


def test_the_log_is_filtered_and_another_org_sees_nothing(acme: Acme) -> None:
    assert acme.data("/deliveries/list")["total"] == 2
    (dead,) = acme.data("/deliveries/list", state="dead")["deliveries"]
    assert (dead["id"], dead["problem"], dead["due_timestamp"]) == (
        acme.dead_id,
        "It answered 500.",
        None,
    )
    assert acme.data("/deliveries/list", incident_id=acme.over_id)["total"] == 0
    assert strict(acme.ask("/deliveries/list", who="charlie"))["data"]["total"] == 0
    for path in (f"/incident/{acme.incident_id}", f"/delivery/{acme.dead_id}"):
        assert acme.ask(path, who="charlie").status_code == 404
    replayed = acme.ask(f"/delivery/{acme.dead_id}/replay", who="charlie", method="post")
    assert replayed.status_code == 404


def test_a_dead_message_is_sent_again_once_and_recorded(acme: Acme) -> None:
    path = f"/delivery/{acme.dead_id}/replay"
    replayed = strict(acme.ask(path, method="post"))["data"]["delivery"]
    assert (replayed["id"], replayed["state"], replayed["attempts"]) == (acme.dead_id, PENDING, 0)
    again = acme.ask(path, method="post")
    assert (again.status_code, error(again)["code"]) == (409, "not_dead")
    assert acme.ask(f"/delivery/{acme.sent_id}/replay", method="post").status_code == 409
    with acme.database.unit_of_work(write=False):
        entry = session().query(AuditEntry).one()
        assert (entry.action, entry.actor) == ("delivery.replay", "Alice")
        assert session().get_one(Delivery, acme.dead_id).state == PENDING
