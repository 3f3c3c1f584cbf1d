"""What people and exclusions end: what was told is told as over, what was not is never sent."""

from datetime import timedelta

import pytest

from anomify.anomaly.model import Anomaly
from anomify.channel.message import DELIVERED
from anomify.clock import now
from anomify.db import session
from anomify.delivery.facts import Facts
from anomify.delivery.model import SENT
from anomify.delivery.wording import message_of
from anomify.exclusion.model import Exclusion
from anomify.job.model import DEAD
from anomify.org.model import Org
from anomify.pipeline.screen import close_excluded
from anomify.triage.actor import Actor
from anomify.triage.change import TriageChange, change_anomalies
from anomify.triage.status import Status
from tests.delivery.deliveries import (
    NOON,
    claim_all,
    end,
    look_again,
    make_open_anomaly,
    metric_of,
    opened_once,
    rows,
    settle_claim,
    tell_ended,
    tell_opened,
)
from tests.factories import (
    link_contact,
    make_contact_point,
    make_metric,
    make_org,
    make_silence,
    make_watcher,
)

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.usefixtures("unit")]

MINUTE = timedelta(minutes=1)


def org_of(anomaly: Anomaly) -> Org:
    return session().get_one(Org, anomaly.org_id)


def decide(anomaly: Anomaly, status: Status, name: str = "Bob") -> None:
    change = {anomaly.id: TriageChange(status=status)}
    change_anomalies(org_of(anomaly), change, Actor(name), "https://a.example")


def exclude(anomaly: Anomaly) -> None:
    metric = metric_of(anomaly)
    rule = Exclusion(
        org_id=anomaly.org_id, kind="exact", pattern=metric.name, created_by="Bob", created_at=now()
    )
    session().add(rule)
    session().flush()
    metric.excluded_by = rule.id
    session().flush()


def send() -> None:
    for claimed in claim_all(now()):
        settle_claim(claimed, DELIVERED, now())


def last_sentence() -> str:
    facts = Facts.from_row(rows()[-1].facts)
    return message_of(facts, "https://a.example", message_id="m").sentence


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.RESOLVED, "was resolved by Bob"),
        (Status.INVALID, "was marked as invalid by Bob"),
        (Status.DISCARDED, "was discarded by Bob"),
        (Status.DUPLICATE, "was marked as a duplicate by Bob"),
    ],
)
def test_what_people_end_is_told_as_over_with_their_reason(clock, status, words) -> None:
    anomaly = opened_once()
    send()
    decide(anomaly, status)
    clock.shift(2 * MINUTE)

    assert look_again() == 1
    assert [row.transition for row in rows()] == ["opened", "recovered"]
    assert last_sentence().startswith(f"cpu.load {words}. It had been unusual since")
    assert "back to normal" not in last_sentence()
    facts = Facts.from_row(rows()[-1].facts)
    assert facts.incident is not None
    assert (facts.incident.open_count, facts.incident.ended_ms) == (0, facts.occurred_ms)
    send()
    clock.shift(10 * MINUTE)
    assert look_again() == 0


def test_what_was_not_sent_yet_is_never_sent(clock) -> None:
    anomaly = opened_once()
    decide(anomaly, Status.INVALID)
    clock.shift(2 * MINUTE)

    assert look_again() == 0
    (row,) = rows()
    assert (row.state, row.last_error) == (
        DEAD,
        "Not sent because cpu.load was marked as invalid by Bob.",
    )
    assert claim_all(now()) == []


def test_one_that_is_made_active_again_is_told_again(clock) -> None:
    anomaly = opened_once(expiration_seconds=0)
    send()
    decide(anomaly, Status.RESOLVED)
    clock.shift(2 * MINUTE)
    look_again()
    decide(anomaly, Status.ACTIVE)
    tell_opened(anomaly)

    assert [row.transition for row in rows()] == ["opened", "recovered", "opened"]


def test_what_a_rule_excludes_is_told_as_over_and_withdrawn_where_it_was_not_sent(clock) -> None:
    sent = opened_once()
    send()
    other = make_open_anomaly(make_metric(make_org("Globex"), "cpu.other"))
    make_watcher(org_of(other), webhook_url="https://b.example/in")
    assert tell_opened(other) == 1
    for anomaly in (sent, other):
        exclude(anomaly)
    clock.shift(MINUTE)
    close_excluded()

    told = {(row.org_id, row.transition): row for row in rows()}
    assert last_sentence().startswith(
        "cpu.load is not judged any more: the exclusion exact cpu.load of Bob matches it. It had"
    )
    assert told[sent.org_id, "opened"].state == SENT
    assert (sent.org_id, "recovered") in told
    assert told[other.org_id, "opened"].state == DEAD
    assert (other.org_id, "recovered") not in told


def test_one_that_was_back_to_normal_before_the_rule_is_told_so() -> None:
    anomaly = opened_once()
    send()
    end(anomaly)
    tell_ended(anomaly)
    exclude(anomaly)

    assert "back to normal" in last_sentence()


def test_what_people_ended_in_a_silence_is_not_listed_as_gone(clock) -> None:
    org = make_org()
    make_watcher(org, webhook_url="https://b.example/in")
    make_silence(org, begins_at=NOON - MINUTE, hours=1)
    anomaly = make_open_anomaly(make_metric(org))
    assert tell_opened(anomaly) == 0
    decide(anomaly, Status.INVALID)
    for _ in range(5):
        clock.shift(30 * MINUTE)
        assert look_again() == 0


def test_only_what_shows_an_acknowledgement_is_told_of_one_and_once(clock) -> None:
    org = make_org()
    watcher = make_watcher(org, webhook_url="https://b.example/in")
    link_contact(watcher, make_contact_point(org, "pagerduty", lane="events.pagerduty.com"))
    one = make_open_anomaly(make_metric(org, "cpu.a"))
    two = make_open_anomaly(make_metric(org, "cpu.b"))
    tell_opened(one, two)
    send()
    decide(one, Status.ACKNOWLEDGED)
    clock.shift(2 * MINUTE)
    # The other one still waits for somebody.
    assert look_again() == 0
    decide(two, Status.ACKNOWLEDGED, "Alice")
    clock.shift(2 * MINUTE)
    assert look_again() == 1
    row = rows()[-1]
    assert (row.channel, row.transition) == ("pagerduty", "acknowledged")
    message = message_of(Facts.from_row(row.facts), "https://a.example", message_id="m")
    assert (message.type, message.is_ongoing) == ("anomaly.acknowledged", True)
    assert message.sentence.startswith("Alice and Bob acknowledged")
    for _ in range(3):
        clock.shift(2 * MINUTE)
        assert look_again() == 0
