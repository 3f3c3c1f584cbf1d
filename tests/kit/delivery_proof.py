"""Messages to a receiver with bad answers, from processes that are killed again and again."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import func, select

from anomify.config import Settings
from anomify.db import Database, session
from anomify.delivery.model import SENT, Delivery
from tests.factories import make_org
from tests.kit.deliverer_process import LOOPBACK, FastClock, start
from tests.kit.outbox import SECRET, Post
from tests.kit.receiver import Received, broken_answers, receiving

WATCHERS = 2
MESSAGES_OF_INCIDENT = 2


@dataclass(frozen=True)
class Outcome:
    """What has arrived of so many messages."""

    sent: int
    # Messages that the receiver has never taken, and that were taken before an earlier one.
    lost: list[str]
    out_of_order: list[str]
    # How often the receiver took a message that it had taken before, with the same id.
    repeats: int
    # Requests whose id is that of no message, or whose content differs from the one before.
    strange: list[str]
    kills: int
    seconds: float


def prove(
    database: Database, folder: Path, count: int, *, kills: int, seed: int, speed: float = 20.0
) -> Outcome:
    """Send so many messages and kill the sender meanwhile; return what became of them."""
    rng = random.Random(seed)
    settings = Settings(data_dir=folder, secret_key="k" * 64, egress_allow=LOOPBACK)
    clock = FastClock(time.time(), speed)
    with database.unit_of_work():
        org = make_org("Acme")
    post = Post(database, settings, clock, org)  # type: ignore[arg-type] # this clock runs by itself
    began = time.monotonic()
    with receiving(secret=SECRET, endless=broken_answers(seed, 0.3, with_slow=False)) as receiver:
        for _ in range(WATCHERS):
            post.watch(receiver.url)
        for number in range(count // (WATCHERS * MESSAGES_OF_INCIDENT)):
            post.open(f"cpu.{number}", and_recover=True)
        done = 0
        sender = start(
            str(database.engine.url.render_as_string(hide_password=False)), settings, clock
        )
        try:
            # Every answer may still be lost, so the last ones are sent by one that lives on.
            while count_sent(database) < count:
                time.sleep(rng.uniform(0.3, 1.5) + (1.5 if done < kills else 0.5))
                if done < kills:
                    sender.kill()
                    sender.wait()
                    done += 1
                    url = database.engine.url.render_as_string(hide_password=False)
                    sender = start(str(url), settings, clock)
        finally:
            sender.kill()
            sender.wait()
        return outcome_of(database, receiver.received, receiver.accepted, done, began)


def count_sent(database: Database) -> int:
    with database.unit_of_work(write=False):
        counted = select(func.count()).select_from(Delivery).where(Delivery.state == SENT)
        return session().scalar(counted) or 0


def outcome_of(
    database: Database,
    received: list[Received],
    accepted: list[Received],
    kills: int,
    began: float,
) -> Outcome:
    with database.unit_of_work(write=False):
        rows = (
            session()
            .scalars(select(Delivery).order_by(Delivery.notification_id, Delivery.sequence))
            .all()
        )
    first_at: dict[str, int] = {}
    for place, request in enumerate(accepted):
        first_at.setdefault(request.id, place)
    known = {row.id for row in rows}
    about: dict[str, tuple[str, object]] = {}
    strange = []
    for request in received:
        what = (request.payload["type"], request.payload["data"]["anomaly"]["id"])
        if request.id not in known or about.setdefault(request.id, what) != what:
            strange.append(request.id)
    by_row = defaultdict(list)
    for row in rows:
        by_row[row.notification_id].append(row.id)
    out_of_order = [
        later
        for ids in by_row.values()
        for earlier, later in pairwise(ids)
        if first_at.get(later, len(accepted)) < first_at.get(earlier, len(accepted))
    ]
    return Outcome(
        sent=len(rows),
        lost=[row.id for row in rows if row.id not in first_at],
        out_of_order=out_of_order,
        repeats=len(accepted) - len(first_at),
        strange=strange,
        kills=kills,
        seconds=time.monotonic() - began,
    )
