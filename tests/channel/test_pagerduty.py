import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings

from anomify.channel.message import Receipt, Target
from anomify.channel.pagerduty import KIND, PagerDutyChannel, change_of, dedup_key, event_of
from anomify.outbound.http_client import Outbound
from tests.channel.messages import (
    CONVERSATION,
    IMAGE,
    LINK,
    MESSAGES,
    hostile_messages,
    message_of,
)
from tests.kit.receiver import Answer, Received, Receiver, receiving

KEY = "R0" * 16


def problem_of(event: dict) -> str:
    """What PagerDuty finds wrong with an event, as far as its documentation states it."""
    if event["event_action"] not in {"trigger", "acknowledge", "resolve"}:
        return "'event_action' is unknown"
    if not 1 <= len(event["dedup_key"]) <= 255:
        return "'dedup_key' is too long (maximum is 255 characters)"
    if event["event_action"] != "trigger":
        return ""
    payload = event["payload"]
    if not 1 <= len(payload["summary"]) <= 1024:
        return "'payload.summary' is too long (maximum is 1024 characters)"
    if not payload["source"] or payload["severity"] not in {"critical", "error", "warning", "info"}:
        return "'payload.severity' is unknown"
    datetime.fromisoformat(payload["timestamp"])
    return ""


@contextmanager
def pagerduty(*answers: Answer) -> Iterator[Receiver]:
    """Its Events API: one integration, whose events are kept in `Receiver.received`."""

    def respond(request: Received) -> Answer:
        event = json.loads(request.body)
        problem = "" if event["routing_key"] == KEY else "'routing_key' is not a valid key"
        if request.path == "/v2/enqueue":
            problem = problem or problem_of(event)
        if problem:
            refused = {"status": "invalid event", "message": "Event object is invalid",
                       "errors": [problem]}  # fmt: skip
            return Answer(400, body=json.dumps(refused).encode())
        return Answer(202, body=b'{"status":"success","message":"Event processed"}')

    with receiving(*answers, respond=respond) as receiver:
        yield receiver


def sent(receiver: Receiver, message=MESSAGES["opened"], key: str = KEY) -> Receipt:
    address = f"http://127.0.0.1:{receiver.port}"
    channel = PagerDutyChannel(Outbound(["127.0.0.0/8"]), api=address)
    return channel.send(message, Target("", settings={"routing_key": key}))


def events(receiver: Receiver) -> list[dict]:
    return [json.loads(request.body) for request in receiver.received]


class TestSend:
    def test_one_incident_is_triggered_acknowledged_and_resolved(self) -> None:
        with pagerduty() as receiver:
            names = ("opened", "updated", "acknowledged", "reminder", "recovered")
            receipts = [sent(receiver, MESSAGES[name]) for name in names]

        assert all(receipt.is_delivered for receipt in receipts)
        assert [event["event_action"] for event in events(receiver)] == [
            "trigger",
            "trigger",
            "acknowledge",
            "trigger",
            "resolve",
        ]
        assert {event["dedup_key"] for event in events(receiver)} == {CONVERSATION}

    def test_an_incident_has_its_numbers_picture_and_link(self) -> None:
        event = event_of(MESSAGES["opened"], KEY)

        assert event["payload"]["summary"] == MESSAGES["opened"].sentence
        assert event["payload"]["severity"] == "critical"
        assert event["payload"]["source"] == "checkout.latency.p95"
        assert event["payload"]["timestamp"] == "2026-11-20T12:12:00.000Z"
        assert event["payload"]["custom_details"]["Expected"] == "80 to 120 ms"
        assert event["images"][0]["src"] == IMAGE
        assert event["links"] == [{"href": LINK, "text": "View the incident"}]

    @pytest.mark.parametrize(
        ("severity", "word"),
        [("high", "critical"), ("medium", "error"), ("low", "warning"), ("", "info")],
    )
    def test_has_pagerdutys_word_for_the_severity(self, severity: str, word: str) -> None:
        assert event_of(message_of(severity=severity), KEY)["payload"]["severity"] == word

    def test_a_picture_that_is_not_shown_is_left_out(self) -> None:
        assert "images" not in event_of(message_of(image_url="http://anomify.example/x"), KEY)

    def test_a_test_opens_and_resolves_an_incident_that_is_no_alarm(self) -> None:
        with pagerduty() as receiver:
            assert sent(receiver, MESSAGES["test"]).is_delivered

        opened, resolved = events(receiver)
        assert (opened["event_action"], opened["payload"]["severity"]) == ("trigger", "info")
        assert resolved["event_action"] == "resolve"
        assert opened["dedup_key"] == resolved["dedup_key"] == MESSAGES["test"].id

    def test_a_report_is_a_change_event_and_notifies_nobody(self) -> None:
        with pagerduty() as receiver:
            assert sent(receiver, MESSAGES["report"]).is_delivered

        assert receiver.paths == ["/v2/change/enqueue"]

    def test_a_wrong_key_is_named_and_tried_again(self) -> None:
        with pagerduty() as receiver:
            receipt = sent(receiver, key="x" * 32)

        assert (receipt.is_delivered, receipt.is_permanent, receipt.is_gone) == (False,) * 3
        assert "routing_key" in receipt.problem
        assert "integration key" in receipt.problem

    def test_waits_as_long_as_pagerduty_asks(self) -> None:
        with pagerduty(Answer(429, {"Retry-After": "60"})) as receiver:
            assert sent(receiver).retry_after_seconds == 60

    def test_another_address_of_the_contact_point_is_used(self) -> None:
        with pagerduty() as receiver:
            for path in ("", "/", "/v2/enqueue"):
                settings = {"routing_key": KEY, "url": f"http://127.0.0.1:{receiver.port}{path}"}
                channel = PagerDutyChannel(Outbound(["127.0.0.0/8"]), api="https://unused.example")
                assert channel.send(MESSAGES["opened"], Target("", settings=settings)).is_delivered

        assert receiver.paths == ["/v2/enqueue"] * 3


class TestEvent:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_every_event_is_within_the_limits(self, message) -> None:
        event = event_of(message, KEY)

        assert problem_of(json.loads(json.dumps(event))) == ""
        assert len(json.dumps(event).encode()) < 512_000
        assert len(json.dumps(change_of(message, KEY)).encode()) < 512_000

    def test_a_long_conversation_has_a_key_that_stays_the_same(self) -> None:
        long = replace(MESSAGES["opened"], conversation="c" * 300)

        assert len(dedup_key(long)) == 64
        assert dedup_key(long) == dedup_key(replace(long, id="other"))
        assert dedup_key(long) != dedup_key(replace(long, conversation="c" * 299 + "d"))


class TestSettings:
    def test_checks_the_key_and_the_address(self) -> None:
        assert KIND.problems({"routing_key": KEY}) == {}
        assert KIND.problems({"routing_key": KEY, "url": "https://events.eu.pagerduty.com"}) == {}
        wrong = {"routing_key": "short", "url": "https://events.eu.pagerduty.com/generic"}
        assert set(KIND.problems(wrong)) == {"routing_key", "url"}
