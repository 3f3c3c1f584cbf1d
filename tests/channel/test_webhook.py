from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine

from anomify.channel.message import DELIVERED, Message, Target
from anomify.channel.signature import new_secret
from anomify.channel.webhook import WebhookChannel
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import Outbound
from tests.kit.receiver import Answer, Wire, receiving

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MESSAGE = Message(
    id="2c5d9d70",
    answers_id=None,
    type="anomaly.opened",
    occurred_at=NOON,
    subject="",
    text="",
    html="",
    data={"metric": {"name": "Höhe"}, "anomaly": {"score": None}},
)


def channel(**limits: float) -> WebhookChannel:
    return WebhookChannel(Outbound(["127.0.0.0/8"], limits=CallLimits(**limits)))


class TestSend:
    def test_posts_json_that_the_receiver_can_verify(self) -> None:
        secret = new_secret()
        with receiving(secret=secret) as receiver:
            receipt = channel().send(MESSAGE, Target(receiver.url, secrets=(secret,)))

        received = receiver.received[0]
        assert receipt == DELIVERED
        assert received.id == MESSAGE.id
        assert received.headers["content-type"] == "application/json"
        assert received.payload == {
            "type": "anomaly.opened",
            "timestamp": "2026-11-20T12:00:00Z",
            "data": MESSAGE.data,
        }

    def test_signs_with_both_secrets_while_one_is_replaced(self) -> None:
        new, former = new_secret(), new_secret()
        for held in (new, former):
            with receiving(secret=held) as receiver:
                channel().send(MESSAGE, Target(receiver.url, secrets=(new, former)))
            assert receiver.received[0].payload["type"] == "anomaly.opened"

    def test_signs_the_time_of_the_attempt_and_keeps_the_id(self) -> None:
        secret, target_times = new_secret(), []
        for at in (NOON, NOON + timedelta(hours=3)):
            with time_machine.travel(at, tick=False), receiving(secret=secret) as receiver:
                channel().send(MESSAGE, Target(receiver.url, secrets=(secret,)))
            target_times.append(int(receiver.received[0].headers["webhook-timestamp"]))
            assert receiver.received[0].id == MESSAGE.id

        assert target_times == [int(NOON.timestamp()), int(NOON.timestamp()) + 3 * 3600]

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_every_2xx_is_a_success(self, status: int) -> None:
        with receiving(Answer(status)) as receiver:
            assert channel().send(MESSAGE, Target(receiver.url)).is_delivered

    @pytest.mark.parametrize(
        ("status", "is_permanent", "is_gone"),
        [
            (302, False, False),
            (308, False, False),
            (400, False, False),
            (401, False, False),
            (403, False, False),
            (404, False, False),
            (408, False, False),
            (410, True, True),
            (425, False, False),
            (429, False, False),
            (500, False, False),
            (503, False, False),
        ],
    )
    def test_only_410_is_final(self, status: int, is_permanent: bool, is_gone: bool) -> None:
        with receiving(Answer(status)) as receiver:
            receipt = channel().send(MESSAGE, Target(receiver.url))

        assert not receipt.is_delivered
        assert (receipt.is_permanent, receipt.is_gone) == (is_permanent, is_gone)
        assert str(status) in receipt.problem
        assert len(receiver.received) == 1

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            # Numbers that no clock holds, from a receiver that means no good.
            ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
            ("Mon, 01 Jan 2024 9999999999999:00:00 GMT", None),
            ("120", 120.0),
            (" 7 ", 7.0),
            (format_datetime(NOON + timedelta(minutes=5), usegmt=True), 300.0),
            (format_datetime(NOON - timedelta(minutes=5), usegmt=True), 0.0),
            ("Fri, 20 Nov 2026 12:00:30 -0000", 30.0),
            ("9" * 400, 999_999_999.0),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("²", None),
        ],
    )
    def test_reads_retry_after(self, header: str, seconds: float | None) -> None:
        answer = Answer(503, {"Retry-After": header})
        with time_machine.travel(NOON, tick=False), receiving(answer) as receiver:
            receipt = channel().send(MESSAGE, Target(receiver.url))

        assert receipt.retry_after_seconds == seconds

    def test_a_blocked_address_is_tried_again_and_the_problem_names_the_setting(self) -> None:
        receipt = WebhookChannel(Outbound()).send(MESSAGE, Target("http://169.254.169.254/"))

        # Names can change where they lead to, and the operator can allow the network.
        assert (receipt.is_delivered, receipt.is_permanent) == (False, False)
        assert "egress_allow" in receipt.problem

    def test_a_very_slow_receiver_is_a_temporary_failure(self) -> None:
        def drip(wire: Wire) -> None:
            wire.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"z")

        with receiving(Answer(instead=drip)) as receiver:
            receipt = channel(total_seconds=0.3).send(MESSAGE, Target(receiver.url))

        assert (receipt.is_delivered, receipt.is_permanent) == (False, False)
        assert "too long" in receipt.problem
