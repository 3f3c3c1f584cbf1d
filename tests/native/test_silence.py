"""/silence over HTTP: what is saved, what is refused, and what the list and the preview show."""

from datetime import timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from anomify.audit.model import AuditEntry
from anomify.clock import now, to_timestamp
from anomify.db import session
from anomify.native import silence
from anomify.org.model import Org
from anomify.silence import editing
from tests.factories import (
    make_anomaly,
    make_cast,
    make_contact_point,
    make_incident,
    make_metric,
    make_silence,
)
from tests.kit.web import error, make_app, strict

NAMES = ('cpu{env="staging"}', 'cpu{env="prod"}', "disk.free")
HOUR = 3600
# What is sent, and the field that is wrong.
REFUSED = (
    ({}, "metric"),
    ({"everything": False}, "metric"),
    ({"matchers": []}, "metric"),
    ({"everything": True, "chips": ["cpu"]}, "everything"),
    ({"metric": "disk.free", "everything": True}, "everything"),
    ({"metric": "a{"}, "metric"),
    ({"matchers": ["env"]}, "matchers"),
    ({"matchers": ['env=~"("']}, "matchers"),
    ({"matchers": ["a=b"] * 21}, "matchers"),
    ({"chips": ["!"]}, "chips"),
    ({"chips": ["\u202e"]}, "chips"),
    ({"chips": ["cpu"], "until": 0}, "until"),
    ({"chips": ["cpu"], "until": 1000}, "until"),
    ({"chips": ["cpu"], "from": 9_000_000_000}, "from"),
    ({"chips": ["cpu"], "until": 9_000_000_000}, "until"),
    ({"chips": ["cpu"], "local_from": "22:00"}, "local_until"),
    ({"chips": ["cpu"], "local_until": "22:00"}, "local_from"),
    ({"chips": ["cpu"], "local_from": "25:00", "local_until": "1:00"}, "local_from"),
    ({"chips": ["cpu"], "weekdays": ["monday"]}, "weekdays"),
    ({"chips": ["cpu"], "local_from": "1:00", "local_until": "2:00",
      "weekdays": ["moonday"]}, "weekdays"),
    ({"chips": ["cpu"], "local_from": "1:00", "local_until": "2:00",
      "month_days": [0]}, "month_days"),
    ({"chips": ["cpu"], "local_from": "1:00", "local_until": "2:00",
      "dates": ["2026-02-30"]}, "dates"),
    ({"chips": ["cpu"], "local_from": "1:00", "local_until": "2:00",
      "dates": ["2020-02-20"]}, "dates"),
    ({"chips": ["cpu"], "timezone": "Mars"}, "timezone"),
    ({"chips": ["cpu"], "comment": "x" * 501}, "comment"),
    ({"chips": ["cpu"], "notify_contact_point_ids": [99]}, "notify_contact_point_ids"),
    ({"chips": ["cpu"], "sort": 1}, "sort"),
)  # fmt: skip


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        found = make_cast()
        for name in NAMES:
            make_anomaly(make_metric(found.acme, name), minutes=None)
        make_metric(found.globex, "globex.secret")
    return found


@pytest.fixture
def client(cast, database, tmp_path):
    app = make_app(database, tmp_path, [silence.blueprint])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def ask(client, cast):
    def requested(path, who="alice", status=200, **sent):
        reply = client.post(path, headers=cast.headers(who), json=sent)
        assert reply.status_code == status, reply.text
        return strict(reply)["data"] if status == 200 else error(reply)

    return requested


@pytest.fixture
def at():
    return to_timestamp(now())


class TestCreate:
    def test_saves_what_is_sent_and_shows_its_effect(self, ask, at):
        made = ask(
            "/silence/create",
            matchers=["env = staging"],
            chips=["CPU", "!disk"],
            until=at + HOUR,
            comment="  disk\n swap ",
        )
        one = made["silence"]
        assert one["state"] == "active"
        assert one["matchers"] == ['env="staging"']
        assert one["chips"] == ["CPU", "!disk"]
        assert one["comment"] == "disk swap"
        assert (one["from_timestamp"], one["until_timestamp"]) == (at, at + HOUR)
        assert one["everything"] is False
        assert one["created_by"] == "Alice"
        assert made["metrics"] == ['cpu{env="staging"}']
        assert (made["metrics_matched"], made["total_metrics"]) == (1, 3)
        assert [each["metric"] for each in made["anomalies"]] == ['cpu{env="staging"}']
        assert ask(f"/silence/{one['id']}", who="dave")["silence"] == one

    def test_one_that_recurs_is_shown_with_its_next_times(self, ask):
        made = ask(
            "/silence/create",
            everything=True,
            kind="maintenance",
            local_from="22:30",
            local_until="6:00",
            weekdays=["Sat", "sunday"],
            timezone="Europe/Berlin",
        )
        assert made["silence"]["recurring"] == {
            "local_from": "22:30",
            "local_until": "06:00",
            "weekdays": ["saturday", "sunday"],
            "month_days": [],
            "dates": [],
        }
        assert made["silence"]["until_timestamp"] is None
        assert len(made["occurrences"]) == 5
        for each in made["occurrences"][1:]:
            assert each["from_string"][11:16] == "22:30"
            assert each["until_string"][11:16] == "06:00"

    def test_refusals_name_the_field(self, ask, at):
        for sent, field in REFUSED:
            refused = ask("/silence/create", status=400, **{"until": at + HOUR, **sent})
            assert list(refused["fields"]) == [field], sent
        assert ask("/silences/list")["total"] == 0

    def test_it_lasts_an_hour_unless_its_end_is_given(self, ask, at):
        made = ask("/silence/create", metric="disk.free", **{"from": at + 60})
        assert made["silence"]["until_timestamp"] == at + 60 + HOUR
        assert made["metrics"] == ["disk.free"]
        made = ask("/silence/create", metric="disk.free", chips=["!disk"])
        assert made["metrics"] == []

    def test_a_metric_of_another_org_is_not_found(self, ask, at):
        refused = ask("/silence/create", status=404, metric="globex.secret", until=at + HOUR)
        assert "metric" in refused["message"]

    def test_viewers_may_not(self, ask, at):
        refused = ask("/silence/create", who="dave", status=403, everything=True, until=at + HOUR)
        assert "editor" in refused["message"]

    def test_so_many_are_enough(self, ask, at, monkeypatch):
        monkeypatch.setattr(editing, "SILENCES_MAX", 1)
        ask("/silence/create", everything=True, until=at + HOUR)
        refused = ask("/silence/create", status=429, everything=True, until=at + HOUR)
        assert "end some first" in refused["message"]

    def test_those_who_are_named_are_told_of_maintenance_unless_it_is_said(
        self, ask, at, cast, database
    ):
        with database.unit_of_work():
            contact = make_contact_point(session().get_one(Org, cast.acme.id)).id
            foreign = make_contact_point(session().get_one(Org, cast.globex.id)).id
        told = {"everything": True, "until": at + HOUR, "notify_contact_point_ids": [contact]}

        def flags(**more):
            made = ask("/silence/create", **told, **more)["silence"]
            return made["notify_start"], made["notify_end"]

        assert flags() == (False, False)
        assert flags(kind="maintenance") == (True, True)
        assert flags(kind="maintenance", notify_start=False) == (False, True)
        assert flags(notify_end=True) == (False, True)
        ask(
            "/silence/create",
            status=400,
            **{**told, "notify_contact_point_ids": [contact, foreign]},
        )


class TestUpdate:
    def test_one_in_force_is_made_longer_and_shorter(self, ask, at):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        path = f"/silence/{made['id']}/update"
        for until in (at + 9 * HOUR, at + 60):
            changed = ask(path, until=until)["silence"]
            assert changed == {
                **made,
                "until_timestamp": until,
                "current": changed["current"],
            }
            assert changed["current"]["until_timestamp"] == until

    def test_what_it_is_about_is_replaced_as_a_whole(self, ask, at):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        changed = ask(f"/silence/{made['id']}/update", metric="disk.free")["silence"]
        assert (changed["metric"], changed["chips"]) == ("disk.free", [])
        refused = ask(f"/silence/{made['id']}/update", status=400, chips=[])
        assert list(refused["fields"]) == ["metric"]

    def test_it_recurs_or_no_longer_does(self, ask, at):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        path = f"/silence/{made['id']}/update"
        changed = ask(path, local_from="01:00", local_until="02:00", dates=["2999-01-01"], until=0,
                      status=400)  # fmt: skip
        assert list(changed["fields"]) == ["dates"]
        changed = ask(path, local_from="01:00", local_until="02:00", until=0)["silence"]
        assert changed["recurring"] is not None
        assert changed["until_timestamp"] is None
        assert list(ask(path, status=400, local_from="", local_until="")["fields"]) == ["until"]
        changed = ask(path, local_from="", local_until="", until=at + HOUR)["silence"]
        assert changed["recurring"] is None

    def test_its_beginning_cannot_be_changed_once_it_has_begun(self, ask, at):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        path = f"/silence/{made['id']}/update"
        ask(path, **{"from": at})
        assert list(ask(path, status=400, **{"from": at + 60})["fields"]) == ["from"]

    def test_an_end_that_has_come_ends_it_now(self, ask, at):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        path = f"/silence/{made['id']}/update"
        with time_machine.travel(at + 600, tick=False):
            ended = ask(path, until=at + 300, comment="done")["silence"]
        assert ended["state"] == "expired"
        assert (ended["ended_by"], ended["comment"]) == ("Alice", "done")
        assert ended["until_timestamp"] == ended["ended_timestamp"] == at + 600
        with time_machine.travel(at + 601, tick=False):
            ask(path, status=409, until=at + 9 * HOUR)

    def test_changes_are_in_the_audit_trail(self, ask, at, database):
        made = ask("/silence/create", chips=["cpu"], until=at + HOUR)["silence"]
        ask(f"/silence/{made['id']}/update", comment="x")
        ask(f"/silence/{made['id']}/update", comment="x")
        ask(f"/silence/{made['id']}/delete")
        ask(f"/silence/{made['id']}/delete")
        with database.unit_of_work(write=False):
            rows = list(session().scalars(select(AuditEntry).order_by(AuditEntry.id)))
            assert [row.action for row in rows] == [
                "silence.create",
                "silence.update",
                "silence.end",
            ]
            assert (rows[1].before, rows[1].after) == ({"comment": ""}, {"comment": "x"})


class TestList:
    def test_states_and_order(self, ask, cast, database):
        with database.unit_of_work():
            acme = session().get_one(Org, cast.acme.id)
            acme.muted_until = now() + timedelta(minutes=5)
            hour = timedelta(hours=1)
            expired = make_silence(acme, begins_at=now() - 5 * hour).id
            newer = make_silence(acme, begins_at=now() - 3 * hour).id
            later = make_silence(acme, begins_at=now() + 2 * hour).id
            long = make_silence(acme, hours=9).id
            soon = make_silence(acme, begins_at=now() + hour).id
            short = make_silence(acme, hours=2).id
            over = make_silence(
                acme, ends_at=now() + hour, from_minute=0, until_minute=1, dates=["2020-01-01"]
            ).id
            make_silence(session().get_one(Org, cast.globex.id))
        wanted = [None, short, long, soon, later, over, newer, expired]
        listed = ask("/silences/list", who="dave")
        assert [each["id"] for each in listed["silences"]] == wanted
        assert listed["total"] == len(wanted)
        assert listed["silences"][0]["kind"] == "mute"
        for offset in range(len(wanted) + 1):
            page = ask("/silences/list", limit=2, offset=offset)
            assert [each["id"] for each in page["silences"]] == wanted[offset : offset + 2]
            assert page["total"] == len(wanted)
        for state, ids in (
            ("active", [None, short, long]),
            ("upcoming", [soon, later]),
            ("expired", [over, newer, expired]),
        ):
            listed = ask("/silences/list", states=[state])
            assert [each["id"] for each in listed["silences"]] == ids
            assert {each["state"] for each in listed["silences"]} == {state}


class TestPreview:
    def test_stores_nothing_and_needs_no_end(self, ask, at):
        found = ask("/silence/preview", who="dave", chips=["cpu"])
        assert (found["metrics_matched"], found["anomalies_matched"]) == (2, 2)
        assert found["metrics"] == sorted(NAMES[:2])
        (occurrence,) = found["occurrences"]
        assert (occurrence["from_timestamp"], occurrence["until_timestamp"]) == (at, at + HOUR)
        assert ask("/silences/list")["total"] == 0

    def test_shows_the_open_incidents_of_the_anomalies(self, ask, cast, database):
        with database.unit_of_work():
            acme = session().get_one(Org, cast.acme.id)
            both = [make_anomaly(make_metric(acme, f"queue.{name}"), minutes=None) for name in "ab"]
            incident = make_incident(*both).id
            make_incident(make_anomaly(make_metric(acme, "queue.c")))
        found = ask("/silence/preview", chips=["queue"])
        assert (found["anomalies_matched"], found["incidents_matched"]) == (2, 1)
        assert [(each["id"], each["anomalies"]) for each in found["incidents"]] == [(incident, 2)]
        assert ask("/silence/preview", chips=["cpu"])["incidents"] == []

    def test_warns_of_too_much_and_of_nothing(self, ask):
        assert "Every metric" in ask("/silence/preview", matchers=["__name__=~.*"])["warning"]
        assert "No metric" in ask("/silence/preview", chips=["nothing like it"])["warning"]
        assert ask("/silence/preview", everything=True)["warning"] is None

    def test_is_readable_from_a_query(self, client, cast):
        reply = client.get(
            "/silence/preview?matchers=env%3Dstaging,job%3D&until=9999999",
            headers=cast.headers("dave"),
        )
        assert list(error(reply)["fields"]) == ["until"]
        reply = client.get(
            "/silence/preview?matchers=env%3Dstaging,job%3D", headers=cast.headers("dave")
        )
        assert strict(reply)["data"]["metrics"] == ['cpu{env="staging"}']


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "matchers": st.lists(st.text(max_size=30), max_size=3),
            "chips": st.lists(st.text(max_size=30), max_size=3),
            "metric": st.text(max_size=30),
            "everything": st.booleans(),
            "from": st.integers() | st.floats(),
            "until": st.integers() | st.floats(),
            "local_from": st.sampled_from(["", "00:00", "24:00", "23:59", "9:9", "٣:٣٠"]),
            "local_until": st.sampled_from(["", "00:00", "24:00", "23:59", "0:01"]),
            "weekdays": st.lists(st.text(max_size=8), max_size=2),
            "month_days": st.lists(st.integers(-2, 32), max_size=3),
            "dates": st.lists(st.dates().map(str) | st.text(max_size=10), max_size=3),
            "timezone": st.sampled_from(["UTC", "Asia/Tokyo", "../etc/passwd", ""]),
        },
    )
)
def test_no_preview_breaks(client, cast, sent):
    reply = client.post("/silence/preview", headers=cast.headers("dave"), json=sent)
    assert reply.status_code in {200, 400, 404}, reply.text
