"""Deliveries to real receivers that fail, hang and disappear, on both databases."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from anomify.channel.kinds import WEBHOOK, make_channels
from anomify.channel.message import DELIVERED, Channel, Message, Receipt, Target
from anomify.channel.signature import new_secret
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.settings import keep_former_secret, store_settings
from anomify.db import session
from anomify.delivery.facts import Facts
from anomify.delivery.model import SENT
from anomify.delivery.outbox import LANE_MOST, LEASE
from anomify.job.model import DEAD, PENDING
from anomify.org.sealing import PURPOSE
from anomify.worker.lane_circuits import FAILURES_MOST, PAUSE
from tests.factories import make_org, make_user
from tests.kit.outbox import MINUTE, PNG, SECRET, Post, Recorder
from tests.kit.receiver import Answer, receiving
from tests.kit.smtpsink import smtp_sink


class Crash(BaseException):
    """The process dies here."""


class CrashingOnce:
    """A channel whose process dies right after the message has arrived, the first time."""

    def __init__(self, real: Channel) -> None:
        self._real = real
        self._has_crashed = False

    def send(self, message: Message, target: Target) -> Receipt:
        receipt = self._real.send(message, target)
        if not self._has_crashed:
            self._has_crashed = True
            raise Crash
        return receipt


class TestWebhook:
    def test_arrives_signed_and_is_settled(self, post: Post) -> None:
        with receiving(secret=SECRET) as receiver:
            post.watch(receiver.url)
            assert post.open() == 1
            assert post.sender().run_once() == 1
            assert post.sender().run_once() == 0

        received = receiver.received[0]
        assert received.payload["type"] == "anomaly.opened"
        assert received.payload["data"]["metric"]["name"] == "cpu"
        assert received.payload["data"]["metric"]["url"].startswith("http://127.0.0.1:8080/ui/")
        assert (received.id, post.states()) == (post.only_row().id, [SENT])

    def test_is_tried_again_with_the_same_id_until_it_is_taken(self, post: Post) -> None:
        with receiving(Answer(500), Answer(500), Answer(200), secret=SECRET) as receiver:
            post.watch(receiver.url)
            post.open()
            sender = post.sender()
            sender.run_once()
            for pause in (10, 20):
                post.clock.pass_(timedelta(seconds=pause - 1))
                assert sender.run_once() == 0
                post.clock.pass_(timedelta(seconds=1))
                assert sender.run_once() == 1

        assert len(receiver.received) == 3
        assert len({request.id for request in receiver.received}) == 1
        assert post.states() == [SENT]

    def test_waits_as_long_as_retry_after(self, post: Post) -> None:
        with receiving(Answer(429, {"Retry-After": "7200"})) as receiver:
            post.watch(receiver.url)
            post.open()
            sender = post.sender()
            sender.run_once()
            post.clock.pass_(timedelta(seconds=7199))
            assert sender.run_once() == 0
            post.clock.pass_(timedelta(seconds=1))
            assert sender.run_once() == 1

        assert post.states() == [SENT]

    def test_a_receiver_that_answers_410_gets_nothing_more(self, post: Post) -> None:
        with receiving(Answer(410)) as receiver:
            post.watch(receiver.url)
            post.open("cpu.a")
            post.sender().run_once()
            assert post.open("cpu.b") == 0
            post.clock.pass_(timedelta(days=1))
            post.sender().run_once()

        assert len(receiver.received) == 1
        assert post.states() == [DEAD]
        with post.database.unit_of_work(write=False):
            assert session().scalars(select(ContactPoint)).one().stopped_at is not None

    def test_a_redirect_to_a_private_address_is_not_followed(self, post: Post) -> None:
        with receiving() as inside:
            answer = Answer(307, {"Location": inside.url})
            with receiving(answer) as receiver:
                post.watch(receiver.url)
                post.open()
                post.sender().run_once()

        assert (len(receiver.received), len(inside.received)) == (1, 0)
        assert "redirects are not followed" in (post.only_row().last_error or "")

    def test_a_url_that_is_blocked_now_is_not_called_and_tried_again(self, post: Post) -> None:
        with receiving() as receiver:
            post.watch(receiver.url)
            post.open()
            post.settings = post.settings.model_copy(update={"egress_allow": ()})
            post.sender().run_once()

        assert (receiver.received, post.states()) == ([], [PENDING])
        assert "egress_allow" in (post.only_row().last_error or "")

    def test_a_huge_reply_counts_as_a_reply(self, post: Post) -> None:
        with receiving(Answer(200, body=b"x" * 10_000_000)) as receiver:
            post.watch(receiver.url)
            post.open()
            post.sender().run_once()

        assert post.states() == [SENT]

    def test_a_secret_that_was_replaced_verifies_at_once(self, post: Post) -> None:
        changed = new_secret()
        with receiving(secret=changed) as receiver:
            post.watch(receiver.url)
            post.open()
            with post.database.unit_of_work():
                point = session().scalars(select(ContactPoint)).one()
                key = post.settings.key_for(PURPOSE)
                keep_former_secret(point, SECRET, post.clock.at, key)
                store_settings(point, {"url": receiver.url, "secret": changed}, key)
            post.sender().run_once()

        assert post.states() == [SENT]


class TestMail:
    def mailed(self, post: Post, picture_of: Callable[[Facts], bytes | None]) -> Any:
        with post.database.unit_of_work():
            bob = make_user(post.org, "Bob")
        post.watch(email_user_ids=[bob.id])
        with smtp_sink() as sink:
            post.settings = post.settings.model_copy(
                update={"smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_starttls": False}
            )
            post.open(and_recover=True)
            sender = post.sender(picture_of=picture_of)
            assert [sender.run_once(), sender.run_once()] == [1, 1]
        assert sink.recipients == [bob.email, bob.email]
        assert post.states() == [SENT, SENT]
        return sink.mails

    def test_arrives_with_the_picture_and_its_recovery_in_the_same_thread(self, post: Post) -> None:
        notice, recovery = self.mailed(post, lambda facts: PNG + str(facts.transition).encode())

        assert recovery["References"] == notice["Message-ID"]
        assert "is unusual" in notice["Subject"]
        assert "back to normal after 5 minutes" in recovery["Subject"]
        pictures = [
            part.get_content()
            for mail in (notice, recovery)
            for part in mail.walk()
            if part.get_content_type() == "image/png"
        ]
        assert pictures == [PNG + b"opened", PNG + b"recovered"]

    def test_states_that_its_picture_could_not_be_drawn(
        self, post: Post, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: Facts) -> bytes:
            raise RuntimeError("out of ink")

        for mail in self.mailed(post, fail):
            assert "cpu" in mail.get_body(("plain",)).get_content()
            for kind in ("plain", "html"):
                text = " ".join(mail.get_body((kind,)).get_content().split())
                assert "The picture that belongs here could not be drawn." in text
            assert [part for part in mail.walk() if part.get_content_maintype() == "image"] == []
        assert len([one for one in caplog.records if "has no picture" in one.message]) == 2

    def test_waits_for_a_mail_server_to_be_set(self, post: Post) -> None:
        with post.database.unit_of_work():
            bob = make_user(post.org, "Bob")
        post.watch(email_user_ids=[bob.id])
        post.open()
        post.sender().run_once()

        assert post.states() == [PENDING]
        assert "smtp_host" in (post.only_row().last_error or "")


class TestCircuits:
    def test_what_fails_for_one_org_does_not_delay_another_on_the_same_host(
        self, post: Post
    ) -> None:
        refused = Receipt(is_delivered=False, problem="The receiver answered 401.")
        channel = Recorder(lambda message: refused if message.org_name == "Acme" else DELIVERED)
        sender = post.sender({WEBHOOK: channel})
        post.watch("https://hooks.example/revoked")
        for number in range(2 * FAILURES_MOST):
            post.open(f"cpu.{number}")
        for _ in range(2):
            assert sender.run_once() == LANE_MOST
        assert sender.run_once() == 0

        with post.database.unit_of_work():
            other = make_org("Globex")
        theirs = replace(post, org=other)
        theirs.watch("https://hooks.example/theirs")
        theirs.open("cpu")
        assert sender.run_once() == 1
        assert channel.sent[-1] == ("https://hooks.example/theirs", DELIVERED)
        post.clock.pass_(PAUSE)
        assert sender.run_once() == LANE_MOST


class TestCrash:
    def test_between_sending_and_settling_sends_again_with_the_same_id(self, post: Post) -> None:
        with receiving(secret=SECRET) as receiver:
            post.watch(receiver.url)
            post.open()
            channels = dict(make_channels(post.settings))
            channels[WEBHOOK] = CrashingOnce(channels[WEBHOOK])
            with pytest.raises(Crash):
                post.sender(channels).run_once()
            assert post.states() == [PENDING]

            heir = post.sender(channels)
            post.clock.pass_(LEASE - timedelta(seconds=1))
            assert heir.run_once() == 0
            post.clock.pass_(timedelta(seconds=1))
            assert heir.run_once() == 1

        first, second = receiver.received
        assert first.id == second.id
        assert first.payload == second.payload
        assert post.states() == [SENT]

    def test_of_a_transaction_that_settles_does_not_send_twice(self, post: Post) -> None:
        failures = ["the connection was lost"]

        def lose(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if statement.startswith("INSERT INTO delivery_attempts") and failures:
                raise OperationalError(statement, {}, Exception(failures.pop()))

        channel = Recorder()
        post.watch("https://hooks.example/")
        post.open()
        event.listen(post.database.engine, "before_cursor_execute", lose)
        assert post.sender({WEBHOOK: channel}).run_once() == 1
        assert failures == []
        post.clock.pass_(LEASE)
        assert post.sender({WEBHOOK: channel}).run_once() == 0
        assert (len(channel.sent), post.states()) == (1, [SENT])

    def test_of_a_channel_is_tried_again_like_any_failure(self, post: Post) -> None:
        def fail(_: Message) -> Receipt:
            raise RuntimeError("a mistake of ours")

        post.watch("https://hooks.example/")
        post.open()
        post.sender({WEBHOOK: Recorder(fail)}).run_once()

        assert post.states() == [PENDING]
        assert "mistake" not in (post.only_row().last_error or "")
        post.clock.pass_(MINUTE)
        assert post.sender({WEBHOOK: Recorder()}).run_once() == 1
        assert post.states() == [SENT]


class TestOrder:
    @pytest.mark.parametrize("seed", range(3))
    def test_is_opened_before_recovered_whatever_fails_and_crashes(
        self, post: Post, seed: int
    ) -> None:
        chance = random.Random(seed)

        def answer(_: Message) -> Receipt:
            match chance.randrange(6):
                case 0:
                    raise Crash
                case 1 | 2:
                    return Receipt(is_delivered=False, problem="500")
                case _:
                    return DELIVERED

        for number in range(3):
            post.watch(f"https://host{number}.example/")
        for number in range(4):
            post.open(f"cpu.{number}", and_recover=True)
        recorder = Recorder(answer)
        for _ in range(200):
            if set(post.states()) == {SENT}:
                break
            try:
                post.sender({WEBHOOK: recorder}).run_once()
            except Crash:
                post.clock.pass_(LEASE)
            post.clock.pass_(timedelta(seconds=chance.randrange(30)))

        assert set(post.states()) == {SENT}
        result: dict[tuple[str, int], list[str]] = defaultdict(list)
        for message, (address, receipt) in zip(recorder.messages, recorder.sent, strict=True):
            if receipt.is_delivered:
                result[address, message.data["anomaly"]["id"]].append(message.type)
        assert len(result) == 12
        assert all(each == ["anomaly.opened", "anomaly.recovered"] for each in result.values())
