"""What an on-call person reads at each change of an incident, word for word."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import structs

from anomify.channel.message import Message
from anomify.delivery.facts import (
    ACKNOWLEDGED,
    FLAPPING,
    MISSED,
    OPENED,
    RECOVERED,
    REMINDER,
    REPORT,
    SILENCE_STARTED,
    UPDATED,
    AnomalyFacts,
    Facts,
    IncidentFacts,
    MissedFacts,
    NoticeFacts,
)
from anomify.delivery.wording import message_of
from anomify.incident.model import STORM
from tests.delivery.test_wording import BASE, NOON_MS

MINUTE_MS = 60_000
NAMES = ("db.latency", "shop.orders", "shop.errors")


def anomaly(name: str = "db.latency", number: int = 1, **changes: Any) -> AnomalyFacts:
    return structs.replace(
        AnomalyFacts(
            id=number,
            uuid=f"anomaly {number}",
            metric_id=number,
            metric_name=name,
            severity="high",
            score=0.9,
            value=412.0,
            expected_lower=20.0,
            expected_upper=80.0,
            explanation="412 ms is above the expected 20 to 80 ms. Unusual since 13:00.",
            headline="412 ms is above the expected 20 to 80 ms.",
            unit="ms",
            started_ms=NOON_MS,
            peak_ms=NOON_MS + 10 * MINUTE_MS,
            last_over_ms=NOON_MS + 25 * MINUTE_MS,
            ended_ms=None,
            has_fallen_silent=False,
        ),
        **changes,
    )


SILENT = {"is_silence": True, "value": None, "expected_lower": None, "expected_upper": None,
          "headline": "No data has come, though a point is due every 60 seconds."}  # fmt: skip


def facts(transition: str, *anomalies: AnomalyFacts, kind: str = "related", **more: Any) -> Facts:
    first, *others = anomalies
    silent = sum(each.is_silence for each in anomalies)
    is_over = transition in {RECOVERED, MISSED}
    ended_ms = NOON_MS + 25 * MINUTE_MS
    incident = {
        "anomaly_count": len(anomalies),
        "open_count": 0 if is_over else len(anomalies),
        "metric_count": len(anomalies),
        "silent_count": silent,
        "ended_ms": ended_ms if is_over else None,
        "severity": "high",
        **more.pop("incident", {}),
    }
    return Facts(
        transition=transition,
        occurred_ms=ended_ms if is_over else NOON_MS + 30 * MINUTE_MS,
        org_id=1,
        org_name="Acme",
        timezone="UTC",
        watcher_id=5,
        watcher_name="Shop",
        anomaly=first,
        others=tuple(others),
        incident=IncidentFacts(id=9, uuid="i", kind=kind, began_ms=NOON_MS, **incident),
        **more,
    )


def three(**changes: Any) -> tuple[AnomalyFacts, ...]:
    return tuple(anomaly(name, number, **changes) for number, name in enumerate(NAMES, 1))


@dataclass(frozen=True)
class Golden:
    case: str
    facts: Facts
    subject: str
    headline: str
    sentence: str
    is_ongoing: bool = True


WHAT = "412 ms is above the expected 20 to 80 ms"
SINCE = "2026-11-20 12:00:00 UTC"
ENDED = "2026-11-20 12:25:00 UTC"
PEAK = "412 ms, where 20 to 80 ms was expected, at 2026-11-20 12:10:00 UTC."
GOLDEN = (
    Golden(
        "one opened",
        facts(OPENED, anomaly()),
        f"db.latency is unusual: {WHAT}",
        "Unusual, severity high",
        f"db.latency is unusual since {SINCE}: {WHAT}. Severity high.",
    ),
    Golden(
        "three opened",
        facts(OPENED, *three()),
        "db.latency and 2 more are unusual",
        "3 metrics unusual, severity high",
        f"3 metrics of Acme are unusual since {SINCE}. First was db.latency: {WHAT}. "
        "Severity high.",
    ),
    Golden(
        "three silent",
        facts(OPENED, *three(**SILENT)),
        "db.latency and 2 more send no data",
        "3 metrics send no data, severity high",
        f"3 metrics of Acme send no data since {SINCE}. First was db.latency: no data comes. "
        "Severity high.",
    ),
    Golden(
        "a storm of one so far",
        facts(OPENED, anomaly(), kind=STORM),
        "Acme: many anomalies at once, 1 anomaly so far",
        "Many anomalies at once, severity high",
        "So much of Acme became unusual within five minutes that what follows is told together: "
        f"1 anomaly since {SINCE}. First of them was db.latency: {WHAT}. Severity high.",
    ),
    Golden(
        "severity risen",
        facts(UPDATED, anomaly(), told_severity="medium"),
        "db.latency is still unusual: severity high now",
        "Still unusual, severity high",
        f"db.latency is still unusual, since {SINCE}: {WHAT}. The severity is now high, it was "
        "medium.",
    ),
    Golden(
        "a jump that became a silence",
        facts(
            UPDATED,
            anomaly(**SILENT),
            told_severity="high",
            incident={"anomaly_count": 2, "open_count": 1},
        ),
        f"db.latency sends no data since {SINCE}",
        "Still no data, severity high",
        f"db.latency still sends no data, since {SINCE}.",
    ),
    Golden(
        "one more joined, one has ended",
        facts(
            UPDATED, *three(), told_severity="high", incident={"open_count": 2, "joined_count": 1}
        ),
        "db.latency and 2 more are unusual",
        "3 metrics unusual, severity high",
        f"3 metrics of Acme belong to what began at {SINCE} with db.latency: {WHAT}. "
        "2 of 3 anomalies go on. 1 more anomaly joined since the last message.",
    ),
    Golden(
        "a storm grew",
        facts(UPDATED, *three(), kind=STORM, incident={"joined_count": 2}),
        "Acme: many anomalies at once, 3 anomalies so far",
        "Many anomalies at once, severity high",
        f"What began at {SINCE} is told together. All of it goes on. 2 more anomalies joined since "
        "the last message.",
    ),
    Golden(
        "reminder of one",
        facts(REMINDER, anomaly()),
        "db.latency is still unusual after 30 minutes",
        "Still unusual after 30 minutes, severity high",
        f"db.latency is still unusual after 30 minutes, since {SINCE}: {WHAT}. Nobody has "
        "acknowledged it.",
    ),
    Golden(
        "reminder of a silence",
        facts(REMINDER, anomaly(**SILENT)),
        "db.latency still sends no data after 30 minutes",
        "Still no data after 30 minutes, severity high",
        f"db.latency still sends no data after 30 minutes, since {SINCE}. Nobody has acknowledged "
        "it.",
    ),
    Golden(
        "reminder of three, one goes on",
        facts(REMINDER, *three(), incident={"open_count": 1}),
        "db.latency and 2 more are still unusual after 30 minutes",
        "Still unusual after 30 minutes, severity high",
        f"What began at {SINCE} with db.latency goes on after 30 minutes: {WHAT}. 1 of 3 anomalies "
        "goes on. Not all of it is acknowledged.",
    ),
    Golden(
        "acknowledged",
        facts(ACKNOWLEDGED, *three(), acknowledged_by="Bob"),
        "Bob acknowledged db.latency and 2 more",
        "Acknowledged by Bob",
        f"Bob acknowledged what began at {SINCE} with db.latency.",
    ),
    Golden(
        "one recovered",
        facts(RECOVERED, anomaly()),
        "db.latency is back to normal after 25 minutes",
        "Back to normal",
        f"db.latency is back to normal; it was unusual for 25 minutes, until {ENDED}. "
        f"At its peak it was {PEAK}",
        is_ongoing=False,
    ),
    Golden(
        "three recovered",
        facts(RECOVERED, *three()),
        "db.latency and 2 more are back to normal after 25 minutes",
        "Back to normal",
        f"All 3 metrics of the incident that began with db.latency are back to normal, since "
        f"{ENDED}. It lasted 25 minutes. At its peak db.latency was {PEAK}",
        is_ongoing=False,
    ),
    Golden(
        "three send data again",
        facts(RECOVERED, *three(**SILENT)),
        "db.latency and 2 more send data again after 25 minutes",
        "Data comes again",
        f"All 3 metrics of the incident that began with db.latency send data again, since {ENDED}. "
        "It lasted 25 minutes.",
        is_ongoing=False,
    ),
    Golden(
        "three ended in different ways",
        facts(RECOVERED, *three()[:2], anomaly("shop.errors", 3, has_fallen_silent=True)),
        "db.latency and 2 more are no longer unusual after 25 minutes",
        "No longer unusual",
        "All 3 metrics of the incident that began with db.latency are no longer unusual, since "
        f"{ENDED}. It lasted 25 minutes. At its peak db.latency was {PEAK}",
        is_ongoing=False,
    ),
    Golden(
        "marked as invalid",
        facts(RECOVERED, anomaly(dismissed="was marked as invalid by Bob")),
        "db.latency was marked as invalid by Bob",
        "Not reported any more",
        f"db.latency was marked as invalid by Bob. It had been unusual since {SINCE}; whether that "
        "goes on is not reported.",
        is_ongoing=False,
    ),
    Golden(
        "one of three excluded",
        facts(
            RECOVERED,
            anomaly(dismissed="is not judged any more: the exclusion prefix db of Bob matches it"),
            *three()[1:],
        ),
        "db.latency and 2 more are not reported any more after 25 minutes",
        "Not reported any more",
        "All 3 metrics of the incident that began with db.latency are not reported any more, since "
        f"{ENDED}. It lasted 25 minutes. At its peak db.latency was {PEAK}",
        is_ongoing=False,
    ),
    Golden(
        "flapping",
        facts(FLAPPING, anomaly(), openings=5),
        "db.latency keeps becoming unusual and normal again",
        "Flapping, severity high",
        f"db.latency has become unusual 5 times within an hour: {WHAT}. Nothing more is sent about "
        "it until it has been calm for an hour.",
    ),
    Golden(
        "came and went",
        facts(
            MISSED,
            anomaly(),
            missed=(MissedFacts("db.latency", 2, NOON_MS, NOON_MS + 5 * MINUTE_MS),),
            missed_count=2,
        ),
        "Acme: 2 incidents while messages were held back",
        "Over by now",
        "While messages of the watcher Shop were held back, 2 incidents began and ended: "
        f"db.latency and 1 other from {SINCE} to 2026-11-20 12:05:00 UTC and 1 more.",
        is_ongoing=False,
    ),
)


def written(found: Facts, **more: Any) -> Message:
    return message_of(found, BASE, message_id="m1", **more)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.case)
def test_each_change_in_words(golden: Golden) -> None:
    message = written(golden.facts)

    assert message.subject == golden.subject
    assert message.headline == golden.headline
    assert message.sentence == golden.sentence
    assert message.is_ongoing is golden.is_ongoing
    assert message.sentence in message.text
    assert message.type == f"anomaly.{golden.facts.transition}"


def test_lists_how_each_of_several_metrics_ended() -> None:
    found = facts(
        RECOVERED, *three()[:2], anomaly("shop.errors", 3, accepted="has stayed at about 7")
    )
    assert ("Ended", "shop.errors: at a new level") in written(found).lines
    assert ("Ended", "db.latency: back to normal") in written(found).lines


def test_states_why_it_is_told_late_and_after_how_long_it_was_escalated() -> None:
    held = facts(
        OPENED,
        anomaly(),
        held_why="the silence “Deploy” is in force",
        held_since_ms=NOON_MS,
        escalated_after_minutes=15,
    )
    lines = dict(written(held).lines)
    assert (
        lines["Told only now"]
        == f"Since {SINCE} not sent because the silence “Deploy” is in force."
    )
    assert lines["Escalated"] == "Nobody has acknowledged it for 15 minutes."


def test_a_notice_has_its_own_words_and_names_no_watcher() -> None:
    notice = NoticeFacts(
        subject="Maintenance of Acme has begun",
        headline="Maintenance",
        sentence="Messages about all metrics are held back until 14:00 UTC.",
        lines=(("By", "Bob"),),
        path="/ui/silences",
        link_words="View the silences",
        because="You receive this because the silence names you.",
        data={"silence": {"id": 3}},
    )
    found = Facts(
        transition=SILENCE_STARTED,
        occurred_ms=NOON_MS,
        org_id=1,
        org_name="Acme",
        timezone="UTC",
        watcher_id=0,
        watcher_name="",
        anomaly=None,
        notice=notice,
    )
    message = written(found)
    assert (message.type, message.link) == ("silence.started", f"{BASE}/ui/silences")
    assert message.data["silence"] == {"id": 3}
    assert message.data["watcher"] is None
    assert message.text.rstrip().endswith("because the silence names you.")
    assert written(structs.replace(found, transition=REPORT)).type == "watcher.report"


def test_a_mail_shows_how_to_stop_the_mails() -> None:
    message = written(facts(OPENED, anomaly()), unsubscribe_url=f"{BASE}/ui/unsubscribe?token=x")
    assert message.unsubscribe_url in message.html
    assert f"Stop these mails: {message.unsubscribe_url}\n" in message.text
    assert "Stop these mails" not in written(facts(OPENED, anomaly())).text
