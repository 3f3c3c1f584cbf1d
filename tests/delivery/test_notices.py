"""Letters about messages that were given up, and notices of silences: each exactly once."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from anomify.anomaly.model import Anomaly
from anomify.audit.model import AuditEntry
from anomify.channel.message import DELIVERED
from anomify.channel.signature import new_secret
from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.db import Database, sealing_key, session
from anomify.delivery.model import SENT
from anomify.delivery.outbox import claim, settle
from anomify.delivery.replaying import replay
from anomify.delivery.wording import message_of
from anomify.errors import Conflict, NotFound
from anomify.job.model import DEAD, PENDING
from anomify.org.model import Letter, Org
from anomify.org.sealing import unseal
from anomify.worker.notify import DueNotifier
from tests.delivery.deliveries import (
    FAILED,
    GONE,
    KEY,
    NOON,
    claim_all,
    end,
    look_again,
    make_open_anomaly,
    opened_once,
    rows,
    settle_claim,
    tell_ended,
    tell_opened,
)
from tests.factories import (
    make_contact_point,
    make_metric,
    make_org,
    make_silence,
    make_user,
)

pytestmark = pytest.mark.usefixtures("clock")

BASE = "https://a.example"
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def letters() -> list[tuple[str, dict[str, str]]]:
    session().flush()
    found = session().scalars(select(Letter).order_by(Letter.created_at, Letter.recipient))
    read = [(row.recipient, unseal(sealing_key(), row.org_id or 0, row.sealed)) for row in found]
    return [(recipient, json.loads(text)) for recipient, text in read]


def org_of(anomaly: Anomaly) -> Org:
    return session().get_one(Org, anomaly.org_id)


def fail_for_a_day(clock) -> None:
    clock.shift(DAY)
    for claimed in claim(now(), 100, {}, KEY):
        settle(
            claimed.id,
            claimed.leased_until,
            FAILED,
            now(),
            chance=0.5,
            base_url=BASE,
        )


@pytest.mark.usefixtures("unit")
class TestDeadMessages:
    def test_admins_get_one_letter_a_day_for_a_contact_point(self, clock) -> None:
        anomaly = opened_once()
        org = org_of(anomaly)
        make_user(org, "Ann", role="admin", email="ann@acme.example")
        make_user(org, "Val", role="viewer", email="val@acme.example")
        tell_opened(make_open_anomaly(make_metric(org, "cpu.b"), NOON - 30 * MINUTE))
        fail_for_a_day(clock)

        assert [row.state for row in rows()] == [DEAD, DEAD]
        ((recipient, text),) = letters()
        assert recipient == "ann@acme.example"
        name = rows()[0].recipient
        assert text["subject"] == f"Acme: messages to {name} do not arrive"
        assert "The last answer: The receiver answered 500." in text["text"]
        point = rows()[0].contact_point_id
        link = f"https://a.example/ui/alerts?state=dead&contact_point_id={point}"
        assert link in text["text"]
        clock.shift(timedelta(hours=1))
        tell_opened(make_open_anomaly(make_metric(org, "cpu.c"), now()))
        fail_for_a_day(clock)
        assert len(letters()) == 2

    def test_what_people_decided_is_no_fault(self) -> None:
        anomaly = opened_once()
        make_user(org_of(anomaly), role="admin")
        row = rows()[0]
        point = session().get_one(ContactPoint, row.contact_point_id)
        point.deleted_at = now()
        assert claim_all() == []
        assert (row.state, letters()) == (DEAD, [])

    def test_one_is_sent_again_under_its_id_and_is_tried_for_a_day(self, clock) -> None:
        anomaly = opened_once()
        fail_for_a_day(clock)
        (row,) = rows()
        with pytest.raises(NotFound):
            replay(anomaly.org_id + 999, row.id, "Bob")
        clock.shift(HOUR)
        replay(anomaly.org_id, row.id, "Bob")
        assert session().scalars(select(AuditEntry)).one().action == "delivery.replay"
        (claimed,) = claim_all(now())
        assert claimed.id == row.id
        message = message_of(
            claimed.facts,
            BASE,
            message_id=claimed.id,
            enqueued_at=claimed.created_at,
            sent_at=now(),
        )
        assert dict(message.lines)["Delayed"].startswith(
            "Sent 1 day 1 hour late, meant for 2026-11-20"
        )
        assert settle_claim(claimed, FAILED, now()).state == PENDING
        clock.shift(HOUR)
        (claimed,) = claim_all(now())
        settle_claim(claimed, DELIVERED, now())
        with pytest.raises(Conflict):
            replay(anomaly.org_id, row.id, "Bob")

    def test_what_is_over_by_now_is_told_as_over_after_it(self, clock) -> None:
        anomaly = opened_once()
        fail_for_a_day(clock)
        end(anomaly)
        assert tell_ended(anomaly) == 0
        replay(anomaly.org_id, rows()[0].id, "Bob")
        look_again()
        assert [(row.transition, row.state) for row in rows()] == [
            ("opened", PENDING),
            ("recovered", PENDING),
        ]
        for _ in range(2):
            (claimed,) = claim_all(now())
            settle_claim(claimed, DELIVERED, now())
        assert [row.state for row in rows()] == [SENT, SENT]

    def test_one_that_is_gone_is_told_at_once(self) -> None:
        anomaly = opened_once()
        make_user(org_of(anomaly), role="admin")
        (claimed,) = claim_all()
        settle_claim(claimed, GONE)
        subjects = {text["subject"] for _, text in letters()}
        assert any(subject.endswith("do not arrive") for subject in subjects)


class TestSilences:
    @pytest.mark.parametrize("kind", ["silence", "maintenance"])
    def test_begin_and_end_are_told_once(self, database: Database, clock, kind) -> None:
        with database.unit_of_work():
            org = make_org()
            values = {"url": "https://a.example/in", "secret": new_secret()}
            point = make_contact_point(org, "webhook", KEY, values=values)
            gone = make_contact_point(org, "webhook", KEY, values=values, deleted_at=now())
            foreign = make_contact_point(make_org("Globex"), "webhook", KEY, values=values)
            make_silence(
                org,
                kind=kind,
                begins_at=NOON + 10 * MINUTE,
                hours=1,
                metric="cpu",
                comment="Deploy",
                notifies_start=True,
                notifies_end=True,
                notify_contact_point_ids=[point.id, gone.id, foreign.id],
            )
        notifiers = [DueNotifier(database, now) for _ in range(2)]
        told = []
        for _ in range(9):
            for notifier in notifiers:
                notifier.run_once()
            with database.unit_of_work(write=False):
                told.append([row.transition for row in rows()])
            clock.shift(10 * MINUTE)
        assert [len(each) for each in told] == [0, 1, 1, 1, 1, 1, 1, 2, 2]
        assert told[-1] == ["silence.started", "silence.ended"]
        with database.unit_of_work():
            first, last = claim_all(now())
            assert {first.target.address} == {"https://a.example/in"}
            begun, over = (
                message_of(each.facts, BASE, message_id="m")
                for each in sorted((first, last), key=lambda each: each.created_at)
            )
        word = kind.capitalize()
        assert begun.type == "silence.started"
        assert begun.sentence == (
            f"{word} of Acme has begun: cpu. Until 2026-11-20 13:10 UTC anomalies of them are"
            " recorded and nobody is notified."
        )
        assert over.sentence.startswith(f"{word} of Acme has ended after 1 hour: cpu.")
        assert over.data["silence"]["comment"] == "Deploy"
        assert not begun.is_ongoing
