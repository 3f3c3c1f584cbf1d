"""Deliverers in threads: they stop on request, survive failures, and send each message once."""

import threading
from datetime import datetime

from anomify.channel.kinds import EMAIL, WEBHOOK
from anomify.channel.webhook import WebhookChannel
from anomify.db import Database
from anomify.delivery.model import SENT
from anomify.delivery.outbox import LANE_MOST
from anomify.outbound.http_client import Outbound
from anomify.worker.deliver import Deliverer
from tests.kit.outbox import Post, Recorder
from tests.kit.receiver import Answer, Receiver, Wire, receiving


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
        requested = threading.Event()

        def clock() -> datetime:
            requested.set()
            return post.clock.at

        sender = Deliverer(broken, post.settings, lambda _: None, channels={}, clock=clock)
        thread = threading.Thread(target=sender.run_until, args=(stop,))
        thread.start()
        assert requested.wait(20)
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
