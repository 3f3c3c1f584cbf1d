"""Messages are enqueued once for each recipient, in the transaction of the anomaly."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
import time_machine
from sqlalchemy import event, func, select

from anomify.anomaly.model import Anomaly
from anomify.channel.message import DELIVERED, Receipt
from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.db import Database, session
from anomify.delivery.enqueue import enqueue_test
from anomify.delivery.model import HELD_WHY_CHARACTERS_MAX, Delivery, Notification
from anomify.errors import QuotaExceeded
from anomify.job.model import DEAD
from anomify.org.model import Org
from anomify.org.muting import mute_org
from anomify.silence.model import COMMENT_CHARACTERS_MAX
from anomify.silence.window import QuietReasons, SilenceDecision
from tests.delivery.deliveries import (
    NOON,
    URL,
    claim_all,
    end,
    look_again,
    make_open_anomaly,
    make_webhook_watcher,
    metric_of,
    opened_once,
    rows,
    settle_claim,
    tell_ended,
    tell_opened,
)
from tests.factories import (
    make_anomaly,
    make_metric,
    make_org,
    make_silence,
    make_user,
    make_watcher,
)

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.usefixtures("unit")
class TestEnqueueOpened:
    def test_adds_one_row_for_each_recipient_of_each_alerting_watcher(self) -> None:
        org = make_org()
        alice, bob = make_user(org, "Alice"), make_user(org, "Bob")
        make_webhook_watcher(org, email_user_ids=[alice.id, bob.id])
        make_watcher(org, email_user_ids=[bob.id])
        make_watcher(org, "memory", email_user_ids=[bob.id])
        make_watcher(org)

        assert tell_opened(make_open_anomaly(make_metric(org))) == 4
        assert Counter((row.channel, user_of(row)) for row in rows()) == {
            ("webhook", None): 1,
            ("email", alice.id): 1,
            ("email", bob.id): 2,
        }

    def test_a_second_call_adds_nothing(self) -> None:
        anomaly = opened_once()
        before = [row.id for row in rows()]

        assert tell_opened(anomaly) == 0
        assert [row.id for row in rows()] == before

    def test_adds_watchers_that_match_since_the_severity_has_risen(self) -> None:
        org = make_org()
        low, high = (
            make_webhook_watcher(org, severity="low"),
            make_webhook_watcher(org, severity="high"),
        )
        anomaly = make_open_anomaly(make_metric(org), severity="low")

        assert tell_opened(anomaly) == 1
        anomaly.span.severity = "high"
        assert tell_opened(anomaly) == 2
        assert Counter((row.watcher_id, row.transition) for row in rows()) == {
            (low.id, "opened"): 1,
            (low.id, "updated"): 1,
            (high.id, "opened"): 1,
        }

    def test_adds_nothing_within_expiration_seconds_of_a_message_about_the_metric(
        self, clock: time_machine.Traveller
    ) -> None:
        org = make_org()
        make_webhook_watcher(org, expiration_seconds=3600)
        metric, other = make_metric(org), make_metric(org, "disk.cpu")
        first = make_open_anomaly(metric)
        assert tell_opened(first) == 1
        end(first)
        assert tell_ended(first) == 1

        clock.move_to(NOON + timedelta(minutes=59))
        second = make_open_anomaly(metric, NOON + timedelta(minutes=59))
        assert tell_opened(second) == 0
        assert tell_opened(make_open_anomaly(other, NOON + timedelta(minutes=40))) == 1
        clock.move_to(NOON + timedelta(minutes=60))
        assert look_again() == 1
        assert rows()[-1].facts["held_why"]

    def test_a_message_that_was_given_up_does_not_suppress_the_next(
        self, clock: time_machine.Traveller
    ) -> None:
        anomaly = opened_once()
        settle_claim(claim_all()[0], Receipt(is_delivered=False, is_permanent=True))
        end(anomaly)
        tell_ended(anomaly)

        clock.move_to(NOON + timedelta(minutes=10))
        later = make_open_anomaly(metric_of(anomaly), NOON + timedelta(minutes=10))
        assert tell_opened(later) == 1

    def test_leaves_out_users_without_email_alerts_and_of_other_orgs(self) -> None:
        org = make_org()
        charlie = make_user(make_org("Globex"), "Charlie")
        bob = make_user(org, "Bob", wants_email_alerts=False)
        make_watcher(org, email_user_ids=[bob.id, charlie.id, 4711])

        assert tell_opened(make_open_anomaly(make_metric(org))) == 0

    def test_leaves_out_a_stopped_webhook(self) -> None:
        org = make_org()
        make_webhook_watcher(org, webhook_stopped_at=NOON)

        assert tell_opened(make_open_anomaly(make_metric(org))) == 0

    def test_stores_the_facts_of_that_moment_without_numbers_that_are_not_finite(self) -> None:
        org = make_org()
        make_webhook_watcher(org)
        anomaly = make_anomaly(
            make_metric(org), expected_lower=float("-inf"), expected_upper=float("inf")
        )
        tell_opened(anomaly)
        anomaly.span.value = 1.0

        facts = claim_all()[0].facts
        assert facts.anomaly is not None
        assert facts.anomaly.value == 97.5
        assert (facts.anomaly.expected_lower, facts.anomaly.expected_upper) == (None, None)
        assert (facts.org_name, facts.watcher_name) == ("Acme", "Load")


@pytest.mark.usefixtures("unit")
class TestEnqueueRecovered:
    def test_adds_one_row_for_each_recipient_of_an_opened_message(self) -> None:
        anomaly = opened_once()
        make_webhook_watcher(session().get_one(Org, anomaly.org_id), "cpu", name="Came later")
        end(anomaly)

        assert tell_ended(anomaly) == 1
        assert tell_ended(anomaly) == 0
        assert sorted(row.transition for row in rows()) == ["opened", "recovered"]

    def test_adds_none_where_the_opened_message_was_given_up(self) -> None:
        anomaly = opened_once()
        rows()[0].state = DEAD
        end(anomaly)

        assert tell_ended(anomaly) == 0


@pytest.mark.usefixtures("unit")
class TestEnqueueTest:
    def test_adds_one_for_each_recipient_of_a_watcher_that_is_not_alerting(self) -> None:
        org = make_org()
        bob = make_user(org, "Bob")
        watcher = make_webhook_watcher(org, is_alerting=False, email_user_ids=[bob.id])

        assert enqueue_test(org, watcher) == 2
        assert {each.target.address for each in claim_all()} == {URL, bob.email}

    def test_refuses_a_second_one_within_a_minute(self, clock: time_machine.Traveller) -> None:
        org = make_org()
        watcher = make_webhook_watcher(org)
        enqueue_test(org, watcher)
        with pytest.raises(QuotaExceeded):
            enqueue_test(org, watcher)
        clock.move_to(NOON + timedelta(minutes=1))
        assert enqueue_test(org, watcher) == 1


class Crash(Exception):
    """The crash that a test causes."""


class TestCrash:
    def test_at_every_statement_leaves_all_rows_or_none(self, database: Database) -> None:
        """The anomaly and every message of it, or nothing of either."""
        with database.unit_of_work():
            org = make_org()
            bob = make_user(org, "Bob")
            for _ in range(2):
                make_webhook_watcher(org, email_user_ids=[bob.id])
            metric = make_metric(org)

        def record() -> int:
            anomaly = make_anomaly(metric, minutes=None)
            return tell_opened(anomaly)

        statements = 0
        left = 0

        def crash_when_due(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crash

        event.listen(database.engine, "before_cursor_execute", crash_when_due)
        for statements in range(1, 100):
            left = statements
            try:
                with database.unit_of_work():
                    record()
            except Crash:
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


def user_of(row: Delivery) -> int | None:
    """Return the user whom a message goes to."""
    return session().get_one(ContactPoint, row.contact_point_id).user_id


def muted(anomaly: Anomaly, minutes: int = 30) -> Anomaly:
    mute_org(anomaly.org_id, minutes, actor="Alice")
    return anomaly


@pytest.mark.usefixtures("unit")
class TestMuting:
    """While an org is muted no message is sent; afterwards new and more severe anomalies are."""

    def later(self, clock: time_machine.Traveller, minutes: int) -> datetime:
        clock.move_to(NOON + timedelta(minutes=minutes))
        return NOON + timedelta(minutes=minutes)

    def test_marks_an_anomaly_that_was_held_back_and_lists_it_if_it_has_ended(
        self, clock: time_machine.Traveller
    ) -> None:
        org = make_org()
        make_webhook_watcher(org)
        anomaly = muted(make_open_anomaly(make_metric(org)))

        assert tell_opened(anomaly) == 0
        assert (anomaly.muted_at, anomaly.muted_severity) == (NOON, "high")
        end(anomaly)
        assert tell_ended(anomaly) == 0
        self.later(clock, 29)
        assert look_again() == 0
        self.later(clock, 30)
        assert look_again() == 1
        assert [row.transition for row in rows()] == ["missed"]
        assert look_again() == 0

    def test_sends_what_goes_on_after_the_muting(self, clock: time_machine.Traveller) -> None:
        org = make_org()
        make_webhook_watcher(org, severity="low")
        old = muted(make_open_anomaly(make_metric(org), severity="low"))
        assert tell_opened(old) == 0
        self.later(clock, 30)
        assert look_again() == 1
        assert tell_opened(old) == 0
        [row] = rows()
        assert row.facts["held_why"] == "the whole org is muted"

    def test_sends_the_recovery_after_the_muting_where_the_opened_message_was_sent(
        self, clock: time_machine.Traveller
    ) -> None:
        anomaly = opened_once()
        settle_claim(claim_all()[0], DELIVERED)
        muted(anomaly)
        end(anomaly)
        assert tell_ended(anomaly) == 0

        self.later(clock, 29)
        assert look_again() == 0
        at = self.later(clock, 30)
        assert look_again() == 1
        [claimed] = claim_all(at)
        assert claimed.facts.transition == "recovered"

    def test_can_be_ended_early(self) -> None:
        anomaly = muted(opened_once())
        assert claim_all() == []
        muted(anomaly, minutes=0)
        assert len(claim_all()) == 1

    def test_gives_up_an_opened_message_that_was_not_sent_before_the_recovery(self) -> None:
        anomaly = muted(opened_once())
        end(anomaly)

        assert tell_ended(anomaly) == 0
        [opened] = rows()
        assert (opened.state, opened.attempts) == (DEAD, 0)
        assert opened.last_error == "Not sent because the whole org is muted; it has ended since."
        assert anomaly.muted_at == NOON

    def test_does_not_hold_back_test_messages_or_other_orgs(self) -> None:
        org = make_org()
        watcher = make_webhook_watcher(org)
        mute_org(org.id, 30, actor="Alice")
        enqueue_test(org, watcher)
        opened_once()

        assert {claimed.facts.transition for claimed in claim_all()} == {"test", "opened"}


@pytest.mark.usefixtures("unit")
class TestSilences:
    def test_a_silence_with_the_longest_comment_and_name_holds_back(self, clock) -> None:
        org = make_org()
        make_webhook_watcher(org)
        comment = "x" * COMMENT_CHARACTERS_MAX
        silence = make_silence(org, comment=comment, created_by="Ann " * 50)
        assert tell_opened(make_open_anomaly(make_metric(org))) == 0
        why = session().scalars(select(Notification.held_why)).one()
        assert why.startswith("Ann Ann")
        assert len(why) == HELD_WHY_CHARACTERS_MAX

        silence.ended_at = now()
        clock.shift(timedelta(minutes=1))
        assert look_again() == 1

    def test_silences_are_compared_with_each_name_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        org = make_org()
        for number in range(4):
            make_webhook_watcher(org, url=f"https://host{number}.example/")
        make_silence(org)
        asked: list[str] = []
        real = QuietReasons.of

        def noted(reasons: QuietReasons, name: str) -> SilenceDecision | None:
            asked.append(name)
            return real(reasons, name)

        monkeypatch.setattr(QuietReasons, "of", noted)
        metrics = [make_metric(org, f"cpu.{number}") for number in range(5)]
        assert tell_opened(*map(make_open_anomaly, metrics)) == 0
        assert sorted(asked) == [metric.name for metric in metrics]
