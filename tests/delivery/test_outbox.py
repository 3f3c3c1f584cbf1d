"""Rows all or none, each once, leased to one at a time, and told in order, on both databases."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, func, select

from anomify.anomaly.model import Anomaly
from anomify.channel.message import DELIVERED, Receipt, Target
from anomify.channel.signature import new_secret
from anomify.db import Database, session
from anomify.delivery.model import SENT, Delivery
from anomify.delivery.outbox import (
    LANE_MOST,
    LEASE,
    Claim,
    claim,
    enqueue_opened,
    enqueue_recovered,
    enqueue_test,
    is_anything_due,
    settle,
)
from anomify.errors import QuotaExceeded
from anomify.job.model import DEAD, PENDING
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.org.muting import mute_org
from anomify.org.sealing import seal
from anomify.watcher.model import Watcher
from tests.factories import make_anomaly, make_metric, make_org, make_user, make_watcher

KEY = b"k" * 32
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
URL = "https://hooks.example/in"
FAILED = Receipt(is_delivered=False, problem="The receiver answered 500.")
GONE = Receipt(is_delivered=False, problem="Gone.", is_permanent=True, is_gone=True)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def hooked(org: Org, *chips: str, url: str = URL, **more: Any) -> Watcher:
    """A watcher with a webhook."""
    sealed = seal(KEY, org.id, new_secret())
    return make_watcher(org, *chips, webhook_url=url, webhook_secret_sealed=sealed, **more)


def opened_once(**more: Any) -> Anomaly:
    """An anomaly that one webhook has been enqueued for."""
    org = make_org()
    hooked(org, **more)
    anomaly = make_anomaly(make_metric(org), minutes=None)
    assert enqueue_opened(anomaly) == 1
    return anomaly


def metric_of(anomaly: Anomaly) -> Metric:
    return session().get_one(Metric, anomaly.span.metric_id)


def end(anomaly: Anomaly) -> None:
    anomaly.span.is_open = False
    anomaly.span.ended_ms = anomaly.span.last_over_ms + 60_000


def rows() -> list[Delivery]:
    return list(session().scalars(select(Delivery).order_by(Delivery.created_at, Delivery.id)))


def claim_all(at: datetime = NOON, most: int = 100, **busy: int) -> list[Claim]:
    return claim(at, most, busy, KEY)


def settle_claim(claimed: Claim, receipt: Receipt, at: datetime = NOON) -> Delivery:
    settle(claimed.id, claimed.leased_until, receipt, at, chance=0.5)
    return session().get_one(Delivery, claimed.id)


@pytest.mark.usefixtures("unit")
class TestEnqueueOpened:
    def test_makes_one_row_for_each_way_of_each_listening_watcher(self) -> None:
        org = make_org()
        alice, bob = make_user(org, "Alice"), make_user(org, "Bob")
        hooked(org, email_user_ids=[alice.id, bob.id])
        make_watcher(org, email_user_ids=[bob.id])
        make_watcher(org, "memory", email_user_ids=[bob.id])
        make_watcher(org)

        assert enqueue_opened(make_anomaly(make_metric(org))) == 4
        assert Counter((row.channel, row.recipient) for row in rows()) == {
            ("webhook", "webhook"): 1,
            ("email", str(alice.id)): 1,
            ("email", str(bob.id)): 2,
        }

    def test_adds_nothing_when_it_is_said_again(self) -> None:
        anomaly = opened_once()
        before = [row.id for row in rows()]

        assert enqueue_opened(anomaly) == 0
        assert [row.id for row in rows()] == before

    def test_tells_those_who_come_to_hear_of_it_when_its_severity_rises(self) -> None:
        org = make_org()
        low, high = hooked(org, severity="low"), hooked(org, severity="high")
        anomaly = make_anomaly(make_metric(org), severity="low")

        assert enqueue_opened(anomaly) == 1
        anomaly.span.severity = "high"
        assert enqueue_opened(anomaly) == 1
        assert {row.watcher_id for row in rows()} == {low.id, high.id}

    def test_is_quiet_about_a_metric_that_it_has_just_told_of(
        self, clock: time_machine.Traveller
    ) -> None:
        org = make_org()
        hooked(org, expiration_seconds=3600)
        metric, other = make_metric(org), make_metric(org, "cpu.idle")

        assert enqueue_opened(make_anomaly(metric, NOON)) == 1
        clock.move_to(NOON + timedelta(minutes=59))
        assert enqueue_opened(make_anomaly(metric, NOON + timedelta(minutes=59))) == 0
        assert enqueue_opened(make_anomaly(other, NOON + timedelta(minutes=59))) == 1
        clock.move_to(NOON + timedelta(minutes=60))
        assert enqueue_opened(make_anomaly(metric, NOON + timedelta(minutes=60))) == 1

    def test_is_not_quiet_after_a_message_that_never_arrived(self) -> None:
        anomaly = opened_once()
        rows()[0].state = DEAD

        assert enqueue_opened(make_anomaly(metric_of(anomaly), NOON + timedelta(minutes=1))) == 1

    def test_tells_nobody_who_does_not_want_mails_or_is_of_another_org(self) -> None:
        org = make_org()
        charlie = make_user(make_org("Globex"), "Charlie")
        bob = make_user(org, "Bob", wants_email_alerts=False)
        make_watcher(org, email_user_ids=[bob.id, charlie.id, 4711])

        assert enqueue_opened(make_anomaly(make_metric(org))) == 0

    def test_leaves_a_stopped_webhook_alone(self) -> None:
        org = make_org()
        hooked(org, webhook_stopped_at=NOON)

        assert enqueue_opened(make_anomaly(make_metric(org))) == 0

    def test_keeps_the_facts_as_they_were_even_where_numbers_are_not_finite(self) -> None:
        org = make_org()
        hooked(org)
        anomaly = make_anomaly(
            make_metric(org), expected_lower=float("-inf"), expected_upper=float("inf")
        )
        enqueue_opened(anomaly)
        anomaly.span.value = 1.0

        facts = claim_all()[0].facts
        assert facts.anomaly is not None
        assert facts.anomaly.value == 97.5
        assert (facts.anomaly.expected_lower, facts.anomaly.expected_upper) == (None, None)
        assert (facts.org_name, facts.watcher_name) == ("Acme", "Load")


@pytest.mark.usefixtures("unit")
class TestEnqueueRecovered:
    def test_tells_exactly_those_who_heard_it_open(self) -> None:
        anomaly = opened_once()
        hooked(session().get_one(Org, anomaly.org_id), "cpu", name="Came later")
        end(anomaly)

        assert enqueue_recovered(anomaly) == 1
        assert enqueue_recovered(anomaly) == 0
        assert sorted(row.transition for row in rows()) == ["opened", "recovered"]

    def test_tells_nobody_whose_notice_never_arrived(self) -> None:
        anomaly = opened_once()
        rows()[0].state = DEAD
        end(anomaly)

        assert enqueue_recovered(anomaly) == 0


@pytest.mark.usefixtures("unit")
class TestEnqueueTest:
    def test_goes_to_every_recipient_though_nobody_is_told_otherwise(self) -> None:
        org = make_org()
        bob = make_user(org, "Bob")
        watcher = hooked(org, is_alerting=False, email_user_ids=[bob.id])

        assert enqueue_test(org, watcher) == 2
        assert {each.target.address for each in claim_all()} == {URL, bob.email}

    def test_may_be_had_once_a_minute(self, clock: time_machine.Traveller) -> None:
        org = make_org()
        watcher = hooked(org)
        enqueue_test(org, watcher)
        with pytest.raises(QuotaExceeded):
            enqueue_test(org, watcher)
        clock.move_to(NOON + timedelta(minutes=1))
        assert enqueue_test(org, watcher) == 1


@pytest.mark.usefixtures("unit")
class TestClaim:
    def test_leases_for_a_minute_and_then_gives_it_to_another(self) -> None:
        opened_once()
        first = claim_all()[0]

        assert claim_all() == []
        assert claim_all(NOON + LEASE - timedelta(seconds=1)) == []
        again = claim_all(NOON + LEASE)[0]
        assert (again.id, first.attempts, again.attempts) == (first.id, 1, 2)

    def test_knows_where_it_goes_now_and_not_where_it_would_have_gone(self) -> None:
        anomaly = opened_once()
        watcher = session().scalars(select(Watcher)).one()
        watcher.webhook_url = "https://new.example/"

        assert claim_all()[0].target.address == "https://new.example/"
        assert anomaly.id == rows()[0].anomaly_id

    def test_signs_with_the_former_secret_too_until_its_day_is_over(self) -> None:
        opened_once(
            former_secret_sealed=seal(KEY, 1, "whsec_former"),
            former_secret_until=NOON + timedelta(seconds=1),
        )
        watcher = session().scalars(select(Watcher)).one()
        watcher.former_secret_sealed = seal(KEY, watcher.org_id, "whsec_former")

        assert claim_all()[0].target.secrets[1:] == ("whsec_former",)
        assert len(claim_all(NOON + LEASE)[0].target.secrets) == 1

    def test_tries_again_when_the_secret_cannot_be_read(self) -> None:
        opened_once()

        assert claim(NOON, 10, {}, b"x" * 32) == []
        assert rows()[0].state == PENDING
        assert rows()[0].due_at > NOON
        assert "another key" in (rows()[0].last_error or "")

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"deleted_at": NOON}, "deleted"),
            ({"is_alerting": False}, "not alerting any more"),
            ({"webhook_url": None}, "no webhook"),
            ({"webhook_stopped_at": NOON}, "gone"),
        ],
    )
    def test_gives_up_what_nobody_wants_any_more(self, changes: dict[str, Any], why: str) -> None:
        opened_once()
        watcher = session().scalars(select(Watcher)).one()
        for name, value in changes.items():
            setattr(watcher, name, value)

        assert claim_all() == []
        assert rows()[0].state == DEAD
        assert why in (rows()[0].last_error or "")

    def test_gives_up_a_mail_to_somebody_who_left_or_does_not_want_it(self) -> None:
        org = make_org()
        people = [make_user(org, name) for name in ("Ann", "Ben", "Cid")]
        watcher = make_watcher(org, email_user_ids=[user.id for user in people])
        assert enqueue_opened(make_anomaly(make_metric(org))) == 3
        people[0].wants_email_alerts = False
        watcher.email_user_ids = [people[0].id, people[2].id]
        people[2].name = "Cid\r\nBcc: all"

        claims = claim_all()

        assert [each.target for each in claims] == [Target(people[2].email, people[2].name)]
        assert Counter(row.state for row in rows()) == {DEAD: 2, PENDING: 1}

    def test_gives_up_what_another_version_wrote_and_goes_on_with_the_rest(self) -> None:
        org = make_org()
        for number in range(2):
            hooked(org, url=f"https://host{number}.example/")
        enqueue_opened(make_anomaly(make_metric(org)))
        rows()[0].facts = {"transition": "opened"}

        assert len(claim_all()) == 1
        assert sorted(row.state for row in rows()) == [DEAD, PENDING]

    def test_goes_on_with_the_rest_whatever_is_wrong_with_the_first(self) -> None:
        for wrong in (
            {"facts": {}},
            {"facts": []},
            {"facts": {"transition": 1}},
            {"channel": "email", "recipient": "nobody's number"},
            {"channel": "email", "recipient": ""},
        ):
            org = make_org()
            for number in range(2):
                hooked(org, url=f"https://host{number}.example/")
            enqueue_opened(make_anomaly(make_metric(org)))
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

    def test_takes_no_more_of_a_lane_than_fit_and_lets_lanes_take_turns(self) -> None:
        org = make_org()
        for number in range(6):
            hooked(org, url=f"https://crowd.example/{number}")
        for number in range(2):
            hooked(org, url=f"https://alone{number}.example/")
        assert enqueue_opened(make_anomaly(make_metric(org))) == 8

        assert sorted(each.lane for each in claim_all(most=3)) == [
            "alone0.example",
            "alone1.example",
            "crowd.example",
        ]
        rest = claim_all(**{"crowd.example": 2})
        assert [each.lane for each in rest] == ["crowd.example"] * (LANE_MOST - 2)
        assert claim_all(**{"crowd.example": LANE_MOST}) == []

    def test_lets_orgs_take_turns_whatever_one_of_them_sends(self) -> None:
        """Many slow hosts, or many mails, of one org hold up no message of another."""
        many, other = make_org(), make_org()
        users = [make_user(many, f"User {number}") for number in range(2 * LANE_MOST)]
        for number in range(12):
            hooked(many, url=f"https://host{number}.example/")
            make_watcher(many, email_user_ids=[user.id for user in users])
        hooked(other, url="https://other.example/")
        make_watcher(other, email_user_ids=[make_user(other, "Olga").id])
        enqueue_opened(make_anomaly(make_metric(many)))
        for row in rows():
            row.due_at = NOON - timedelta(minutes=5)
        assert enqueue_opened(make_anomaly(make_metric(other))) == 2

        theirs = {row.id for row in rows() if row.org_id == other.id}
        claimed = [each.id for each in claim_all(most=4)]
        assert len(claimed) == 4
        assert theirs <= set(claimed)

    def test_holds_a_recovery_back_until_its_notice_is_settled(self) -> None:
        anomaly = opened_once()
        end(anomaly)
        enqueue_recovered(anomaly)

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

    def test_sends_a_recovery_when_its_notice_was_given_up(self) -> None:
        # The receiver may have taken the notice and failed to say so.
        anomaly = opened_once()
        end(anomaly)
        enqueue_recovered(anomaly)
        settle_claim(claim_all()[0], Receipt(is_delivered=False, is_permanent=True))

        assert [each.facts.transition for each in claim_all()] == ["recovered"]


@pytest.mark.usefixtures("unit")
class TestSettle:
    def test_what_was_delivered_is_sent(self) -> None:
        opened_once()
        row = settle_claim(claim_all()[0], DELIVERED)

        assert (row.state, row.settled_at, row.leased_until) == (SENT, NOON, None)
        assert claim_all(NOON + timedelta(days=1)) == []

    def test_what_failed_is_due_again_after_a_pause(self) -> None:
        opened_once()
        row = settle_claim(claim_all()[0], FAILED)

        assert (row.state, row.due_at) == (PENDING, NOON + timedelta(seconds=10))
        assert row.last_error == "The receiver answered 500."

    def test_what_is_refused_for_good_is_dead_at_once(self) -> None:
        opened_once()
        row = settle_claim(
            claim_all()[0], Receipt(is_delivered=False, problem="No.", is_permanent=True)
        )

        assert (row.state, row.settled_at) == (DEAD, NOON)

    def test_what_fails_for_a_day_is_dead(self) -> None:
        opened_once()
        at, attempts = NOON, 0
        while claims := claim_all(at):
            attempts += 1
            row = settle_claim(claims[0], FAILED, at)
            at = row.due_at

        assert row.state == DEAD
        assert row.settled_at == NOON + timedelta(hours=24)
        assert 20 < attempts < 40

    def test_a_receiver_that_is_gone_is_left_alone(self) -> None:
        anomaly = opened_once()
        settle_claim(claim_all()[0], GONE)

        assert session().scalars(select(Watcher)).one().webhook_stopped_at == NOON
        assert rows()[0].state == DEAD
        assert enqueue_opened(make_anomaly(metric_of(anomaly), NOON + timedelta(hours=2))) == 0

    def test_a_failure_counts_only_for_the_one_who_holds_the_lease(self) -> None:
        opened_once()
        late = claim_all()[0]
        holder = claim_all(NOON + LEASE)[0]
        settle_claim(late, FAILED, NOON + LEASE)

        row = session().get_one(Delivery, late.id)
        assert (row.leased_until, row.last_error) == (holder.leased_until, None)

    def test_a_success_counts_whoever_holds_the_lease(self) -> None:
        opened_once()
        late = claim_all()[0]
        holder = claim_all(NOON + LEASE)[0]
        settle_claim(late, DELIVERED, NOON + LEASE)

        assert settle_claim(holder, FAILED, NOON + LEASE).state == SENT

    def test_a_row_that_is_no_more_is_no_matter(self) -> None:
        opened_once()
        settle("4711", NOON, DELIVERED, NOON, chance=0.5)

        assert [row.state for row in rows()] == [PENDING]


class Planted(Exception):
    """The crash that a test has planted."""


class TestCrash:
    def test_at_every_statement_leaves_rows_all_or_none(self, database: Database) -> None:
        """The anomaly and every message of it, or nothing of either."""
        with database.unit_of_work():
            org = make_org()
            bob = make_user(org, "Bob")
            for _ in range(2):
                hooked(org, email_user_ids=[bob.id])
            metric = make_metric(org)

        def record() -> int:
            anomaly = make_anomaly(metric, minutes=None)
            return enqueue_opened(anomaly)

        statements = 0
        left = 0

        def crash_when_due(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Planted

        event.listen(database.engine, "before_cursor_execute", crash_when_due)
        for statements in range(1, 100):
            left = statements
            try:
                with database.unit_of_work():
                    record()
            except Planted:
                left = 0
                with database.unit_of_work(write=False) as unit:
                    assert unit.scalar(select(func.count()).select_from(Anomaly)) == 0
                    assert unit.scalar(select(func.count()).select_from(Delivery)) == 0
            else:
                break
        event.remove(database.engine, "before_cursor_execute", crash_when_due)

        assert statements > 8
        with database.unit_of_work(write=False):
            assert len(rows()) == 4


class TestManySenders:
    def test_never_hold_the_same_delivery_at_once(self, database: Database) -> None:
        with database.unit_of_work():
            org = make_org()
            for number in range(40):
                hooked(org, url=f"https://host{number}.example/")
            enqueue_opened(make_anomaly(make_metric(org)))
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
    def test_asks_without_changing_anything(self, database: Database) -> None:
        with database.unit_of_work():
            opened_once()
        with database.unit_of_work(write=False):
            assert is_anything_due(NOON)
            assert not is_anything_due(NOON - timedelta(seconds=1))
        with database.unit_of_work():
            assert len(claim_all()) == 1
            assert not is_anything_due(NOON)


def muted(anomaly: Anomaly, minutes: int = 30) -> Anomaly:
    mute_org(anomaly.org_id, minutes, actor="Alice")
    return anomaly


@pytest.mark.usefixtures("unit")
class TestMuting:
    """While an org is muted nobody is told; later they hear of what is new or has changed."""

    def later(self, clock: time_machine.Traveller, minutes: int) -> datetime:
        clock.move_to(NOON + timedelta(minutes=minutes))
        return NOON + timedelta(minutes=minutes)

    def test_marks_what_it_holds_back_and_never_tells_its_end(
        self, clock: time_machine.Traveller
    ) -> None:
        org = make_org()
        hooked(org)
        anomaly = muted(make_anomaly(make_metric(org), minutes=None))

        assert enqueue_opened(anomaly) == 0
        assert (anomaly.muted_at, anomaly.muted_severity) == (NOON, "high")
        self.later(clock, 31)
        assert enqueue_opened(anomaly) == 0
        end(anomaly)
        assert enqueue_recovered(anomaly) == 0
        assert rows() == []

    def test_tells_afterwards_of_what_is_new_or_has_become_worse(
        self, clock: time_machine.Traveller
    ) -> None:
        org = make_org()
        hooked(org, severity="low")
        metric, other = make_metric(org), make_metric(org, "cpu.idle")
        old = muted(make_anomaly(metric, severity="low", minutes=None))
        enqueue_opened(old)
        self.later(clock, 31)
        assert enqueue_opened(make_anomaly(other, NOON + timedelta(minutes=31))) == 1
        assert enqueue_opened(old) == 0
        old.span.severity = "medium"
        assert enqueue_opened(old) == 1

    def test_tells_the_end_of_what_was_told_before_once_it_is_over(
        self, clock: time_machine.Traveller
    ) -> None:
        anomaly = opened_once()
        settle_claim(claim_all()[0], DELIVERED)
        muted(anomaly)
        end(anomaly)
        assert enqueue_recovered(anomaly) == 1

        before_it_ends = self.later(clock, 29)
        assert not is_anything_due(before_it_ends)
        assert claim_all(before_it_ends) == []
        [claimed] = claim_all(self.later(clock, 30))
        assert claimed.facts.transition == "recovered"

    def test_can_be_ended_early(self) -> None:
        anomaly = muted(opened_once())
        assert claim_all() == []
        muted(anomaly, minutes=0)
        assert len(claim_all()) == 1

    def test_forgets_a_message_that_has_not_gone_out_when_it_is_over(self) -> None:
        anomaly = muted(opened_once())
        end(anomaly)

        assert enqueue_recovered(anomaly) == 0
        [opened] = rows()
        assert (opened.state, opened.attempts) == (DEAD, 0)
        assert opened.last_error == "It was over before it could be told: the whole org is muted."
        assert anomaly.muted_at == NOON

    def test_lets_a_test_and_other_orgs_through(self) -> None:
        org = make_org()
        watcher = hooked(org)
        mute_org(org.id, 30, actor="Alice")
        enqueue_test(org, watcher)
        opened_once()

        assert {claimed.facts.transition for claimed in claim_all()} == {"test", "opened"}
