import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings

from anomify.channel.message import Receipt, Target
from anomify.channel.sms import KIND, SmsChannel, septets, text_of_message
from anomify.outbound.http_client import Outbound
from tests.channel.messages import LINK, MESSAGES, hostile_messages, message_of
from tests.kit.receiver import Answer, Received, Receiver, receiving

ACCOUNT, TOKEN = "AC" + "0a" * 16, "f00d" * 8
SETTINGS = {"account_sid": ACCOUNT, "auth_token": TOKEN, "from": "+15005550006"}
RECIPIENT = "+4915112345678"


@contextmanager
def twilio(*answers: Answer) -> Iterator[Receiver]:
    """One account of Twilio."""

    def respond(request: Received) -> Answer:
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return _error(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return _error(404, 20404, "The requested resource was not found")
        fields = parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        if not 1 <= len(fields["Body"][0]) <= 1600:
            return _error(400, 21617, "The concatenated message body exceeds the 1600 limit")
        if fields["To"] == ["+15005550001"]:
            return _error(400, 21211, "The 'To' number is not a valid phone number.")
        if "From" not in fields and "MessagingServiceSid" not in fields:
            return _error(400, 21603, "A 'From' phone number is required.")
        return Answer(201, body=json.dumps({"sid": "SM" + "1b" * 16, "status": "queued"}).encode())

    with receiving(*answers, respond=respond) as receiver:
        yield receiver


def _error(status: int, code: int, message: str) -> Answer:
    return Answer(status, body=json.dumps({"code": code, "message": message}).encode())


def sent(receiver: Receiver, phone: str = RECIPIENT, **changes: str) -> Receipt:
    api = f"http://127.0.0.1:{receiver.port}"
    channel = SmsChannel(Outbound(["127.0.0.0/8"]), api=api)
    return channel.send(MESSAGES["opened"], Target(phone, settings={**SETTINGS, **changes}))


class TestSend:
    def test_sends_the_text_to_the_phone_of_the_person(self) -> None:
        with twilio() as receiver:
            receipt = sent(receiver)

        fields = parse_qs(receiver.received[0].body.decode())
        assert receipt == Receipt(is_delivered=True, reference="SM" + "1b" * 16)
        assert (fields["To"], fields["From"]) == ([RECIPIENT], ["+15005550006"])
        assert fields["Body"][0].startswith("Acme Shop: checkout.latency.p95 is 1,007 ms")

    def test_sends_to_the_number_of_the_contact_point(self) -> None:
        with twilio() as receiver:
            sent(receiver, "", to="+15005550009")

        assert parse_qs(receiver.received[0].body.decode())["To"] == ["+15005550009"]

    def test_sends_by_a_messaging_service(self) -> None:
        with twilio() as receiver:
            sent(receiver, **{"from": "MG" + "2c" * 16})

        fields = parse_qs(receiver.received[0].body.decode())
        assert fields["MessagingServiceSid"] == ["MG" + "2c" * 16]
        assert "From" not in fields

    def test_every_attempt_has_the_same_token(self) -> None:
        with twilio(Answer(500)) as receiver:
            sent(receiver)
            sent(receiver)

        tokens = [each.headers["i-twilio-idempotency-token"] for each in receiver.received]
        assert tokens == [MESSAGES["opened"].id] * 2

    @pytest.mark.parametrize("to", ["", "nobody", "00491511", "+49 151", "+1\r\nTo: +2"])
    def test_without_a_phone_number_nothing_is_called(self, to: str) -> None:
        with twilio() as receiver:
            receipt = sent(receiver, to)

        assert receiver.received == []
        assert (receipt.is_delivered, receipt.is_permanent) == (False, False)
        assert "no phone number" in receipt.problem

    def test_errors_say_what_to_do_and_are_tried_again(self) -> None:
        with twilio() as receiver:
            wrong_token = sent(receiver, auth_token="x")
            wrong_number = sent(receiver, "+15005550001")

        assert "auth token" in wrong_token.problem
        assert "code of its country" in wrong_number.problem
        assert (wrong_token.is_permanent, wrong_number.is_permanent) == (False, False)

    def test_waits_as_long_as_the_service_asks(self) -> None:
        with twilio(Answer(429, {"Retry-After": "4"})) as receiver:
            assert sent(receiver).retry_after_seconds == 4


class TestText:
    @settings(max_examples=80)
    @given(hostile_messages)
    def test_has_two_parts_at_most(self, message) -> None:
        text = text_of_message(message)

        places = septets(text)
        if places is None:
            assert len(text.encode("utf-16-le")) // 2 <= 134
        else:
            assert places <= 306
        assert "\n" not in text

    def test_has_the_link_where_there_is_room(self) -> None:
        assert text_of_message(message_of()).endswith(f" {LINK}")
        assert LINK not in text_of_message(message_of(sentence="x" * 300))

    def test_simple_signs_keep_it_in_the_cheaper_alphabet(self) -> None:
        text = text_of_message(message_of(sentence="checkout \u2013 \u201cup\u201d \u2026"))
        assert septets(text) is not None

    def test_counts_the_signs_that_take_two_places(self) -> None:
        assert (septets("{}"), septets("[a]"), septets("é"), septets("ж")) == (4, 5, 1, None)


class TestSettings:
    def test_checks_each_value(self) -> None:
        assert KIND.problems(SETTINGS) == {}
        assert KIND.problems({**SETTINGS, "from": "AcmeAlerts", "to": RECIPIENT}) == {}
        wrong = {"account_sid": "a/b", "auth_token": "a b", "from": "", "to": "0151"}
        assert set(KIND.problems(wrong)) == {"account_sid", "auth_token", "from", "to"}
