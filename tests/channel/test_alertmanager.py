import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from hypothesis import given, settings

from anomify.channel.alertmanager import (
    KIND,
    RESEND_SECONDS,
    AlertmanagerChannel,
    alert_of,
    labels_of,
)
from anomify.channel.message import Message, Receipt, Target
from anomify.outbound.http_client import Outbound
from tests.channel.messages import (
    BEGAN,
    CONVERSATION,
    ENDED,
    IMAGE,
    LINK,
    MESSAGES,
    hostile_messages,
)
from tests.kit.receiver import Answer, receiving

NOON = datetime(2026, 11, 20, 12, 15, tzinfo=UTC)


def sent(url: str, message=MESSAGES["opened"], **settings: str) -> Receipt:
    target = Target("", settings={"url": url, **settings})
    return AlertmanagerChannel(Outbound(["127.0.0.0/8"])).send(message, target)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def posted(message: Message, **settings: str) -> dict[str, Any]:
    with receiving(Answer(200)) as receiver, time_machine.travel(NOON, tick=False):
        assert sent(receiver.url, message, **settings).is_delivered
    (alert,) = json.loads(receiver.received[0].body)
    return dict(alert)


class TestSend:
    def test_posts_an_alert_with_the_facts_as_labels_and_annotations(self) -> None:
        alert = posted(MESSAGES["opened"])

        assert alert["labels"] == {
            "alertname": "AnomifyIncident",
            "incident": CONVERSATION,
            "org": "Acme Shop",
            "watcher": "Checkout",
            "metric": "checkout.latency.p95",
            "severity": "high",
        }
        assert alert["annotations"]["image"] == IMAGE
        assert "Expected: 80 to 120 ms" in alert["annotations"]["description"]
        assert alert["generatorURL"] == LINK
        assert moment(alert["startsAt"]) == BEGAN

    def test_ends_after_three_times_the_pause_while_it_goes_on(self) -> None:
        assert moment(posted(MESSAGES["opened"])["endsAt"]) == NOON + timedelta(
            seconds=3 * RESEND_SECONDS
        )

    def test_ends_when_it_ended_and_never_in_the_future(self) -> None:
        ended = NOON - timedelta(minutes=2)
        assert moment(posted(replace(MESSAGES["recovered"], ended_at=ended))["endsAt"]) == ended
        assert moment(posted(MESSAGES["recovered"])["endsAt"]) == NOON < ENDED

    def test_keeps_the_labels_of_the_first_message(self) -> None:
        with receiving(Answer(200)) as receiver:
            reference = sent(receiver.url).reference
        changed = replace(
            MESSAGES["recovered"],
            first_reference=reference,
            severity="low",
            about="3 metrics",
            watcher_name="Renamed",
        )

        alert = posted(changed)
        assert alert["labels"] == posted(MESSAGES["opened"])["labels"]
        assert alert["annotations"]["severity"] == "low"

    def test_posts_below_the_address_wherever_it_ends(self) -> None:
        with receiving(Answer(200), Answer(200), Answer(200)) as receiver:
            base = f"http://127.0.0.1:{receiver.port}/am"
            for url in (base, f"{base}/", f"{base}/api/v2/alerts"):
                sent(url)

        assert receiver.paths == ["/am/api/v2/alerts"] * 3

    def test_signs_in_where_it_has_a_user_name_and_a_password(self) -> None:
        with receiving(Answer(200)) as receiver:
            sent(receiver.url, username="ann", password="pässword:1")

        given_ = receiver.received[0].headers["authorization"].removeprefix("Basic ")
        assert base64.b64decode(given_).decode() == "ann:pässword:1"

    def test_errors_say_what_to_do_and_are_tried_again(self) -> None:
        with receiving(Answer(404), Answer(400, body=b'"bad labels"')) as receiver:
            missing, refused = sent(receiver.url), sent(receiver.url)

        assert "/api/v2/alerts is added" in missing.problem
        assert "bad labels" in refused.problem
        assert (missing.is_permanent, refused.is_permanent) == (False, False)

    def test_a_report_is_no_alert(self) -> None:
        receipt = sent("http://127.0.0.1:9/", MESSAGES["report"])

        assert (receipt.is_delivered, receipt.is_permanent) == (False, True)
        assert not KIND.takes_reports


class TestAlert:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_is_bounded_and_has_no_empty_label(self, message) -> None:
        labels = labels_of(message, is_test=False)
        alert = alert_of(message, labels, NOON, is_test=False)

        assert all(1 <= len(value) <= 200 for value in labels.values())
        assert moment(alert["startsAt"]) <= moment(alert["endsAt"])
        assert len(json.dumps(alert).encode()) < 100_000
