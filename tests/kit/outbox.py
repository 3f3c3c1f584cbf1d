"""An org with metrics and an outbox, a deliverer, and a channel that records messages."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from anomify.channel.message import DELIVERED, Channel, Message, Receipt, Target
from anomify.channel.signature import new_secret
from anomify.config import Settings
from anomify.db import Database, session
from anomify.delivery.facts import Facts
from anomify.delivery.model import Delivery
from anomify.delivery.notify import notify
from anomify.org.model import Org
from anomify.org.sealing import PURPOSE, seal
from anomify.worker.deliver import Deliverer
from tests.factories import make_anomaly, make_incident, make_metric, make_watcher

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
            before = session().scalar(select(func.count()).select_from(Delivery)) or 0
            anomaly = make_anomaly(metric, minutes=5 if and_recover else None)
            moments = {"opened_at": self.clock(), "changed_at": self.clock()}
            incident = make_incident(anomaly, **moments)
            notify([incident.id], self.clock(), as_open=[anomaly.id])
            if and_recover:
                notify([incident.id], self.clock())
            counted = select(func.count()).select_from(Delivery)
            return (session().scalar(counted) or 0) - before

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
