"""Due messages are claimed by one process at a time, in turn by org, and settled once."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from anomify.channel.message import DELIVERED, Receipt
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import store_settings
from anomify.db import Database, session
from anomify.delivery.model import SENT, Delivery
from anomify.delivery.outbox import LANE_MOST, LEASE, claim, is_anything_due, settle
from anomify.job.model import DEAD, PENDING
from anomify.org.sealing import seal
from anomify.watcher.model import Watcher
from tests.delivery.deliveries import (
    FAILED,
    GONE,
    KEY,
    NOON,
    claim_all,
    end,
    make_open_anomaly,
    make_webhook_watcher,
    metric_of,
    opened_once,
    rows,
    settle_claim,
    tell_ended,
    tell_opened,
)
from tests.factories import make_metric, make_org, make_user, make_watcher

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.usefixtures("unit")
class TestClaim:
    def test_leases_a_delivery_for_a_minute_and_gives_it_out_again_after_that(self) -> None:
        opened_once()
        first = claim_all()[0]

        assert claim_all() == []
        assert claim_all(NOON + LEASE - timedelta(seconds=1)) == []
        again = claim_all(NOON + LEASE)[0]
        assert (again.id, first.attempts, again.attempts) == (first.id, 1, 2)

    def test_uses_the_current_url_of_the_webhook(self) -> None:
        opened_once()
        point = session().scalars(select(ContactPoint)).one()
        store_settings(point, {"url": "https://new.example/"}, KEY)

        assert claim_all()[0].target.address == "https://new.example/"

    def test_includes_the_former_secret_until_it_expires(self) -> None:
        opened_once(
            former_secret_sealed=seal(KEY, 1, "whsec_former"),
            former_secret_until=NOON + timedelta(seconds=1),
        )
        point = session().scalars(select(ContactPoint)).one()
        point.former_secret_sealed = seal(KEY, point.org_id, "whsec_former")

        assert claim_all()[0].target.secrets[1:] == ("whsec_former",)
        assert len(claim_all(NOON + LEASE)[0].target.secrets) == 1

    def test_tries_again_when_the_secret_cannot_be_read(self) -> None:
        opened_once()

        assert claim(NOON, 10, {}, b"x" * 32) == []
        assert rows()[0].state == PENDING
        assert rows()[0].due_at > NOON
        assert "another key" in (rows()[0].last_error or "")

    @pytest.mark.parametrize(
        ("row", "changes", "why"),
        [
            (Watcher, {"deleted_at": NOON}, "The watcher has been deleted"),
            (Watcher, {"is_alerting": False}, "not alerting any more"),
            (ContactPoint, {"deleted_at": NOON}, "The contact point has been deleted"),
            (ContactPoint, {"stopped_at": NOON}, "gone"),
        ],
    )
    def test_gives_up_a_delivery_whose_watcher_has_no_recipient_any_more(
        self, row: type[Watcher] | type[ContactPoint], changes: dict[str, Any], why: str
    ) -> None:
        opened_once()
        changed = session().scalars(select(row)).one()
        for name, value in changes.items():
            setattr(changed, name, value)

        assert claim_all() == []
        assert rows()[0].state == DEAD
        assert why in (rows()[0].last_error or "")

    def test_gives_up_a_mail_to_a_user_who_was_removed_or_declined_mails(self) -> None:
        org = make_org()
        people = [make_user(org, name) for name in ("Ann", "Ben", "Cid")]
        make_watcher(org, email_user_ids=[user.id for user in people])
        assert tell_opened(make_open_anomaly(make_metric(org))) == 3
        people[0].wants_email_alerts = False
        removed = select(ContactPoint).where(ContactPoint.user_id == people[1].id)
        session().scalars(removed).one().deleted_at = NOON
        people[2].name = "Cid\r\nBcc: all"

        claims = claim_all()

        assert [(each.target.address, each.target.name) for each in claims] == [
            (people[2].email, people[2].name)
        ]
        assert Counter(row.state for row in rows()) == {DEAD: 2, PENDING: 1}

    def test_gives_up_unreadable_facts_and_claims_the_other_deliveries(self) -> None:
        org = make_org()
        for number in range(2):
            make_webhook_watcher(org, url=f"https://host{number}.example/")
        tell_opened(make_open_anomaly(make_metric(org)))
        rows()[0].facts = {"transition": "opened"}

        assert len(claim_all()) == 1
        assert sorted(row.state for row in rows()) == [DEAD, PENDING]

    def test_claims_the_other_deliveries_whatever_is_wrong_with_the_first(self) -> None:
        for wrong in (
            {"facts": {}},
            {"facts": []},
            {"facts": {"transition": 1}},
            {"contact_point_id": None},
        ):
            org = make_org()
            for number in range(2):
                make_webhook_watcher(org, url=f"https://host{number}.example/")
            tell_opened(make_open_anomaly(make_metric(org)))
            ours = [row for row in rows() if row.org_id == org.id]
            first = min(ours, key=lambda row: row.id)
            for name, value in wrong.items():
                setattr(first, name, value)
            session().flush()

            [claimed] = claim_all()
            assert claimed.id == max(row.id for row in ours), wrong
            session().refresh(first)
            assert first.last_error, wrong
            assert first.state == DEAD or first.due_at > NOON, wrong

    def test_claims_at_most_lane_most_of_a_lane_and_takes_lanes_in_turn(self) -> None:
        org = make_org()
        for number in range(6):
            make_webhook_watcher(org, url=f"https://crowd.example/{number}")
        for number in range(2):
            make_webhook_watcher(org, url=f"https://alone{number}.example/")
        assert tell_opened(make_open_anomaly(make_metric(org))) == 8

        assert sorted(each.lane for each in claim_all(most=3)) == [
            "alone0.example",
            "alone1.example",
            "crowd.example",
        ]
        rest = claim_all(**{"crowd.example": 2})
        assert [each.lane for each in rest] == ["crowd.example"] * (LANE_MOST - 2)
        assert claim_all(**{"crowd.example": LANE_MOST}) == []

    def test_takes_orgs_in_turn_however_much_one_of_them_sends(self) -> None:
        """Many slow hosts, or many mails, of one org do not delay messages of another."""
        many, other = make_org(), make_org()
        users = [make_user(many, f"User {number}") for number in range(2 * LANE_MOST)]
        for number in range(12):
            make_webhook_watcher(many, url=f"https://host{number}.example/")
            make_watcher(many, email_user_ids=[user.id for user in users])
        make_webhook_watcher(other, url="https://other.example/")
        make_watcher(other, email_user_ids=[make_user(other, "Olga").id])
        tell_opened(make_open_anomaly(make_metric(many)))
        for row in rows():
            row.due_at = NOON - timedelta(minutes=5)
        assert tell_opened(make_open_anomaly(make_metric(other))) == 2

        theirs = {row.id for row in rows() if row.org_id == other.id}
        claimed = [each.id for each in claim_all(most=4)]
        assert len(claimed) == 4
        assert theirs <= set(claimed)

    def test_does_not_claim_a_recovery_before_its_opened_message_is_settled(self) -> None:
        anomaly = opened_once()
        end(anomaly)
        tell_ended(anomaly)

        notice = claim_all()
        assert [each.facts.transition for each in notice] == ["opened"]
        settle_claim(notice[0], FAILED)
        assert claim_all() == []
        again = claim_all(NOON + timedelta(minutes=1))
        assert [each.id for each in again] == [notice[0].id]
        settle_claim(again[0], DELIVERED)
        recovery = claim_all(NOON + timedelta(minutes=1))
        assert [each.facts.transition for each in recovery] == ["recovered"]
        assert recovery[0].answers_id == notice[0].id

    def test_claims_a_recovery_whose_opened_message_was_given_up(self) -> None:
        # The receiver may have accepted the opened message and failed to answer.
        anomaly = opened_once()
        end(anomaly)
        tell_ended(anomaly)
        settle_claim(claim_all()[0], Receipt(is_delivered=False, is_permanent=True))

        assert [each.facts.transition for each in claim_all()] == ["recovered"]


@pytest.mark.usefixtures("unit")
class TestSettle:
    def test_a_delivered_message_becomes_sent(self) -> None:
        opened_once()
        row = settle_claim(claim_all()[0], DELIVERED)

        assert (row.state, row.settled_at, row.leased_until) == (SENT, NOON, None)
        assert claim_all(NOON + timedelta(days=1)) == []

    def test_a_failed_message_is_due_again_after_a_pause(self) -> None:
        opened_once()
        row = settle_claim(claim_all()[0], FAILED)

        assert (row.state, row.due_at) == (PENDING, NOON + timedelta(seconds=10))
        assert row.last_error == "The receiver answered 500."

    def test_a_permanent_failure_is_given_up_at_once(self) -> None:
        opened_once()
        row = settle_claim(
            claim_all()[0], Receipt(is_delivered=False, problem="No.", is_permanent=True)
        )

        assert (row.state, row.settled_at) == (DEAD, NOON)

    def test_a_message_that_fails_for_a_day_is_given_up(self) -> None:
        opened_once()
        at, attempts = NOON, 0
        while claims := claim_all(at):
            attempts += 1
            row = settle_claim(claims[0], FAILED, at)
            at = row.due_at

        assert row.state == DEAD
        assert row.settled_at == NOON + timedelta(hours=24)
        assert 20 < attempts < 40

    def test_a_receiver_that_is_gone_stops_the_webhook(self) -> None:
        anomaly = opened_once()
        settle_claim(claim_all()[0], GONE)

        assert session().scalars(select(ContactPoint)).one().stopped_at == NOON
        assert rows()[0].state == DEAD
        assert tell_opened(make_open_anomaly(metric_of(anomaly), NOON + timedelta(hours=2))) == 0

    def test_a_failure_is_recorded_only_while_the_lease_is_in_force(self) -> None:
        opened_once()
        late = claim_all()[0]
        holder = claim_all(NOON + LEASE)[0]
        settle_claim(late, FAILED, NOON + LEASE)

        row = session().get_one(Delivery, late.id)
        assert (row.leased_until, row.last_error) == (holder.leased_until, None)

    def test_a_success_is_recorded_even_without_the_lease(self) -> None:
        opened_once()
        late = claim_all()[0]
        holder = claim_all(NOON + LEASE)[0]
        settle_claim(late, DELIVERED, NOON + LEASE)

        assert settle_claim(holder, FAILED, NOON + LEASE).state == SENT

    def test_ignores_a_delivery_that_was_deleted(self) -> None:
        opened_once()
        settle("4711", NOON, DELIVERED, NOON, chance=0.5)

        assert [row.state for row in rows()] == [PENDING]


class TestManySenders:
    def test_never_claim_the_same_delivery_at_once(self, database: Database) -> None:
        with database.unit_of_work():
            org = make_org()
            for number in range(40):
                make_webhook_watcher(org, url=f"https://host{number}.example/")
            tell_opened(make_open_anomaly(make_metric(org)))
        together = threading.Barrier(4)

        def take() -> list[str]:
            together.wait()
            with database.unit_of_work():
                return [each.id for each in claim_all(most=20)]

        with ThreadPoolExecutor(4) as pool:
            taken = [pool.submit(take) for _ in range(4)]
        ids = [each for attempt in taken for each in attempt.result()]

        assert len(ids) == len(set(ids))
        with database.unit_of_work():
            ids += [each.id for each in claim_all()]
        assert len(set(ids)) == 40


class TestIsAnythingDue:
    def test_finds_due_deliveries_without_changing_them(self, database: Database) -> None:
        with database.unit_of_work():
            opened_once()
        with database.unit_of_work(write=False):
            assert is_anything_due(NOON)
            assert not is_anything_due(NOON - timedelta(seconds=1))
        with database.unit_of_work():
            assert len(claim_all()) == 1
            assert not is_anything_due(NOON)
