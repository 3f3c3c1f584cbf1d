"""Deliveries to real receivers that fail, hang and disappear, on both databases."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from anomify.channel.kinds import EMAIL, WEBHOOK, make_channels
from anomify.channel.message import DELIVERED, Channel, Message, Receipt, Target
from anomify.channel.signature import new_secret
from anomify.channel.webhook import WebhookChannel
from anomify.config import Settings
from anomify.db import Database, session
from anomify.delivery.enqueue import enqueue_opened, enqueue_recovered
from anomify.delivery.facts import Facts
from anomify.delivery.model import SENT, Delivery
from anomify.delivery.outbox import LANE_MOST, LEASE
from anomify.job.model import DEAD, PENDING
from anomify.org.model import Org
from anomify.org.sealing import PURPOSE, seal
from anomify.outbound.http_client import Outbound
from anomify.watcher.model import Watcher
from anomify.worker.deliver import Deliverer
from tests.factories import make_anomaly, make_metric, make_org, make_user, make_watcher
from tests.kit.receiver import Answer, Receiver, Wire, receiving
from tests.kit.smtpsink import smtp_sink

PNG = b"\x89PNG\r\n\x1a\npicture"
MINUTE = timedelta(minutes=1)
SECRET = new_secret()


@dataclass
class Clock:
    at: datetime = field(default_factory=lambda: datetime.now(UTC) + MINUTE)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, span: timedelta) -> None:
        self.at += span


@dataclass
class Post:
    """An org with metrics, its outbox, and a deliverer."""

    database: Database
    settings: Settings
    clock: Clock
    org: Org

    def watch(self, url: str | None = None, chips: tuple[str, ...] = ("cpu",), **more: Any) -> int:
        """Add a watcher to the org Acme."""
        with self.database.unit_of_work():
            sealed = seal(self.settings.key_for(PURPOSE), self.org.id, SECRET)
            return make_watcher(
                self.org,
                *chips,
                webhook_url=url,
                webhook_secret_sealed=None if url is None else sealed,
                expiration_seconds=0,
                **more,
            ).id

    def open(self, name: str = "cpu", *, and_recover: bool = False) -> int:
        """Open an anomaly, and return how many messages were enqueued for it."""
        with self.database.unit_of_work():
            metric = make_metric(self.org, name)
            anomaly = make_anomaly(metric)
            count = enqueue_opened(anomaly)
            if and_recover:
                count += enqueue_recovered(anomaly)
            return count

    def sender(
        self,
        channels: Mapping[str, Channel] | None = None,
        picture_of: Callable[[Facts], bytes | None] = lambda _: PNG,
    ) -> Deliverer:
        return Deliverer(
            self.database,
            self.settings,
            picture_of,
            channels=channels,
            clock=self.clock,
            chance=lambda: 0.5,
        )

    def states(self) -> list[str]:
        with self.database.unit_of_work(write=False):
            return sorted(session().scalars(select(Delivery.state)))

    def only_row(self) -> Delivery:
        with self.database.unit_of_work(write=False):
            return session().scalars(select(Delivery)).one()


@pytest.fixture
def post(database: Database, tmp_path: Path) -> Post:
    settings = Settings(data_dir=tmp_path, secret_key="k" * 64, egress_allow=("127.0.0.0/8",))
    with database.unit_of_work():
        org = make_org("Acme")
    return Post(database, settings, Clock(), org)


class Recorder:
    """A channel with prepared receipts that records what it was asked to send."""

    def __init__(self, answer: Callable[[Message], Receipt] = lambda _: DELIVERED) -> None:
        self.sent: list[tuple[str, Receipt]] = []
        self.messages: list[Message] = []
        self._answer = answer
        self._lock = threading.Lock()

    def send(self, message: Message, target: Target) -> Receipt:
        receipt = self._answer(message)
        with self._lock:
            self.messages.append(message)
            self.sent.append((target.address, receipt))
        return receipt


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
            watcher_id = post.watch(receiver.url)
            post.open("cpu.a")
            post.sender().run_once()
            assert post.open("cpu.b") == 0
            post.clock.pass_(timedelta(days=1))
            post.sender().run_once()

        assert len(receiver.received) == 1
        assert post.states() == [DEAD]
        with post.database.unit_of_work(write=False):
            assert session().get_one(Watcher, watcher_id).webhook_stopped_at is not None

    def test_a_redirect_to_a_private_address_is_not_followed(self, post: Post) -> None:
        with receiving() as inside:
            answer = Answer(307, {"Location": inside.url})
            with receiving(answer) as receiver:
                post.watch(receiver.url)
                post.open()
                post.sender().run_once()

        assert (len(receiver.received), len(inside.received)) == (1, 0)
        assert "redirects are not followed" in (post.only_row().last_error or "")

    def test_a_url_that_is_blocked_now_is_given_up(self, post: Post) -> None:
        with receiving() as receiver:
            post.watch(receiver.url)
            post.open()
            post.settings = post.settings.model_copy(update={"egress_allow": ()})
            post.sender().run_once()

        assert (receiver.received, post.states()) == ([], [DEAD])
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
            watcher_id = post.watch(receiver.url)
            post.open()
            with post.database.unit_of_work():
                watcher = session().get_one(Watcher, watcher_id)
                key = post.settings.key_for(PURPOSE)
                watcher.former_secret_sealed = watcher.webhook_secret_sealed
                watcher.former_secret_until = post.clock.at + MINUTE
                watcher.webhook_secret_sealed = seal(key, post.org.id, changed)
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
                said = " ".join(mail.get_body((kind,)).get_content().split())
                assert "The picture that belongs here could not be drawn." in said
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
        told: dict[tuple[str, int], list[str]] = defaultdict(list)
        for message, (address, receipt) in zip(recorder.messages, recorder.sent, strict=True):
            if receipt.is_delivered:
                told[address, message.data["anomaly"]["id"]].append(message.type)
        assert len(told) == 12
        assert all(each == ["anomaly.opened", "anomaly.recovered"] for each in told.values())


class TestRunUntil:
    def run(self, sender: Deliverer) -> tuple[threading.Thread, threading.Event]:
        stop = threading.Event()
        thread = threading.Thread(target=sender.run_until, args=(stop,))
        thread.start()
        return thread, stop

    def arrived(self, receiver: Receiver, count: int) -> None:
        for _ in range(count):
            assert receiver.arrived.acquire(timeout=20)

    def test_settles_messages_in_progress_before_it_stops(self, post: Post) -> None:
        going_on = threading.Event()

        def answer_later(wire: Wire) -> None:
            going_on.wait(20)
            wire.write(b"HTTP/1.1 204 No Content\r\n\r\n")

        with receiving(Answer(), Answer(instead=answer_later)) as receiver:
            post.watch(receiver.url)
            thread, stop = self.run(post.sender())
            post.open("cpu.a")
            self.arrived(receiver, 1)
            post.open("cpu.b")
            self.arrived(receiver, 1)
            stop.set()
            going_on.set()
            thread.join(20)

        assert post.states() == [SENT, SENT]

    def test_receivers_that_hang_delay_only_their_own_messages(self, post: Post) -> None:
        def hang(wire: Wire) -> None:
            wire.closing.wait()

        outbound = Outbound(["127.0.0.0/8"], resolver=lambda _host, _port: ["127.0.0.1"])
        with receiving(*[Answer(instead=hang)] * 100) as tarpit, receiving() as receiver:
            for number in range(3 * LANE_MOST):
                post.watch(f"http://slow.example:{tarpit.port}/{number}", chips=("slow",))
            post.watch(f"http://quick.example:{receiver.port}/", chips=("quick",))
            assert post.open("slow") == 3 * LANE_MOST
            thread, stop = self.run(post.sender({WEBHOOK: WebhookChannel(outbound)}))
            self.arrived(tarpit, LANE_MOST)
            post.open("quick")
            self.arrived(receiver, 1)
            assert len(tarpit.received) == LANE_MOST
            stop.set()
            tarpit.closing.set()
            thread.join(20)

        assert not thread.is_alive()

    def test_continues_after_a_database_failure(self, post: Post) -> None:
        stop = threading.Event()
        broken = Database("sqlite:////nowhere/at/all/meta.db")
        asked = threading.Event()

        def clock() -> datetime:
            asked.set()
            return post.clock.at

        sender = Deliverer(broken, post.settings, lambda _: None, channels={}, clock=clock)
        thread = threading.Thread(target=sender.run_until, args=(stop,))
        thread.start()
        assert asked.wait(20)
        assert thread.is_alive()
        stop.set()
        thread.join(20)

        assert not thread.is_alive()


class TestManySenders:
    def test_send_each_message_once(self, post: Post) -> None:
        for number in range(20):
            post.watch(f"https://host{number}.example/")
        assert post.open(and_recover=True) == 40
        recorder = Recorder()
        senders = [post.sender({WEBHOOK: recorder, EMAIL: recorder}) for _ in range(3)]

        def empty(sender: Deliverer) -> None:
            while set(post.states()) != {SENT}:
                sender.run_once()

        threads = [threading.Thread(target=empty, args=(sender,)) for sender in senders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(recorder.messages) == 40
        assert len({message.id for message in recorder.messages}) == 40
