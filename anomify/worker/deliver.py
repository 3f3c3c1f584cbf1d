"""Send the messages in the outbox: claimed in one transaction, settled in another."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from anomify.channel.kinds import EMAIL, KINDS, make_channels
from anomify.channel.message import Channel, Message, Receipt
from anomify.clock import now
from anomify.config import Settings
from anomify.contact_point.button import KEY_PURPOSE as BUTTON_KEY_PURPOSE
from anomify.db import Database
from anomify.delivery.buttons import buttons_of
from anomify.delivery.facts import Facts
from anomify.delivery.outbox import Claim, claim, is_anything_due, settle
from anomify.delivery.wording import message_of
from anomify.org.sealing import PURPOSE
from anomify.org.signed_link import DEFAULT_LIFETIME, KEY_PURPOSE, signed_link
from anomify.watcher.unsubscribing import KEY_PURPOSE as UNSUBSCRIBE_KEY_PURPOSE
from anomify.watcher.unsubscribing import PATH as UNSUBSCRIBE_PATH
from anomify.watcher.unsubscribing import unsubscribe_token
from anomify.worker.lane_circuits import LaneCircuits

log = logging.getLogger(__name__)

# Four receivers that do not answer can hold up their own lanes only (outbox.LANE_MOST each).
THREADS = 16
POLL_SECONDS = 1.0
# Longer than a message is tried.
PICTURE_ATTEMPTS = timedelta(days=2)
# Pause after the database could not be read.
DATABASE_PAUSE_SECONDS = 5.0
# Pauses after the first, second ... failure to record what came of an attempt. That can be done
# at any time, but the sooner the better: the message is sent again when its lease has run out.
SETTLE_PAUSES_SECONDS = (0.1, 1.0, 3.0)

# Renders the metric around the anomaly as a PNG; None when there is nothing to render.
PictureOf = Callable[[Facts], bytes | None]


class Deliverer:
    """Sends due messages; any number of deliverers may run at once, in one process or several."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        picture_of: PictureOf,
        *,
        channels: Mapping[str, Channel] | None = None,
        clock: Callable[[], datetime] = now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Use the outbox in `database`; `channels` are the real ones unless given."""
        self._database = database
        self._settings = settings
        self._picture_of = picture_of
        self._channels = make_channels(settings) if channels is None else channels
        self._clock = clock
        self._chance = chance
        self._sealing_key = settings.key_for(PURPOSE)
        self._link_key = settings.key_for(KEY_PURPOSE)
        self._button_key = settings.key_for(BUTTON_KEY_PURPOSE)
        self._unsubscribe_key = settings.key_for(UNSUBSCRIBE_KEY_PURPOSE)
        self._circuits = LaneCircuits()
        self._lock = threading.Lock()
        self._in_progress: Counter[str] = Counter()
        self._wake = threading.Event()

    def run_once(self) -> int:
        """Send what is due and can go at once; return how many deliveries were attempted."""
        claims = self._claim()
        if not claims:
            return 0
        with ThreadPoolExecutor(len(claims), thread_name_prefix="deliver") as pool:
            attempts = [pool.submit(self._deliver, each) for each in claims]
        for attempt in attempts:
            attempt.result()
        return len(claims)

    def run_until(self, stop: threading.Event) -> None:
        """Send until `stop` is set; messages in progress are settled before this returns."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as pool:
            while not stop.is_set():
                self._wake.clear()
                try:
                    claims = self._claim()
                except SQLAlchemyError as problem:
                    log.warning("the outbox cannot be read now: %s", problem)
                    stop.wait(DATABASE_PAUSE_SECONDS)
                    continue
                for each in claims:
                    pool.submit(self._deliver, each).add_done_callback(_report)
                if not claims:
                    # An attempt that ends frees a thread, and ends this wait.
                    self._wake.wait(POLL_SECONDS)

    def _claim(self) -> list[Claim]:
        with self._lock:
            busy = dict(self._in_progress)
            paused = self._circuits.paused(self._clock())
        most = THREADS - sum(busy.values())
        if most <= 0:
            return []
        with self._database.unit_of_work(write=False):
            if not is_anything_due(self._clock()):
                return []
        with self._database.unit_of_work():
            claims = claim(
                self._clock(),
                most,
                busy,
                self._sealing_key,
                paused,
                base_url=self._settings.base_url,
            )
        with self._lock:
            self._in_progress.update(each.lane for each in claims)
        return claims

    def _deliver(self, claimed: Claim) -> None:
        try:
            if self._clock() >= claimed.leased_until:
                # This process was paused, and another one may have sent it meanwhile.
                log.warning(
                    "delivery %s: the lease has run out, another process will send it", claimed.id
                )
                return
            receipt = self._send(claimed)
            with self._lock:
                self._circuits.note(
                    (claimed.org_id, claimed.lane),
                    self._clock(),
                    is_delivered=receipt.is_delivered,
                )
            self._settle(claimed, receipt)
        finally:
            with self._lock:
                self._in_progress -= Counter({claimed.lane: 1})
            self._wake.set()
        if not receipt.is_delivered:
            log.warning(
                "delivery %s by %s, attempt %d: %s",
                claimed.id,
                claimed.channel,
                claimed.attempts,
                receipt.problem,
            )

    def _settle(self, claimed: Claim, receipt: Receipt) -> None:
        """Record the result; what cannot be recorded would be sent once more after its lease."""
        for seconds in (*SETTLE_PAUSES_SECONDS, None):
            try:
                with self._database.unit_of_work():
                    settle(
                        claimed.id,
                        claimed.leased_until,
                        receipt,
                        self._clock(),
                        chance=self._chance(),
                        base_url=self._settings.base_url,
                    )
            except SQLAlchemyError as problem:
                if seconds is None:
                    raise
                log.warning("delivery %s cannot be settled now: %s", claimed.id, problem)
                time.sleep(seconds)
            else:
                return

    def _send(self, claimed: Claim) -> Receipt:
        """Write the message and send it by its channel, outside any transaction."""
        try:
            channel = self._channels.get(claimed.channel)
            if channel is None:
                return Receipt(
                    is_delivered=False,
                    problem=f"The channel {claimed.channel} is not enabled on this server.",
                )
            return channel.send(self._message(claimed), claimed.target)
        except Exception:
            # A fault of ours, not of the receiver: the message is tried again later.
            log.exception("delivery %s could not be sent", claimed.id)
            return Receipt(is_delivered=False, problem="The message could not be made or sent.")

    def _message(self, claimed: Claim) -> Message:
        facts = claimed.facts
        shows_picture = KINDS[claimed.channel].shows_picture and facts.anomaly is not None
        picture = self._picture(claimed) if shows_picture else None
        image_url = ""
        if facts.anomaly is not None and facts.org_uuid:
            image_url = self._settings.base_url + signed_link(
                self._link_key,
                facts.org_uuid,
                "/image/anomaly",
                {"anomaly_id": str(facts.anomaly.id)},
                _picture_until(claimed.created_at, self._clock()),
            )
        return message_of(
            facts,
            self._settings.base_url,
            message_id=claimed.id,
            answers_id=claimed.answers_id,
            first_reference=claimed.first_reference,
            picture=picture,
            lacks_picture=shows_picture and picture is None,
            image_url=image_url,
            buttons=buttons_of(facts, self._button_key),
            unsubscribe_url=self._unsubscribe_url(claimed),
            enqueued_at=claimed.created_at,
            sent_at=self._clock(),
        )

    def _unsubscribe_url(self, claimed: Claim) -> str:
        facts = claimed.facts
        if claimed.channel != EMAIL or not facts.watcher_id or facts.contact_point_id is None:
            return ""
        token = unsubscribe_token(self._unsubscribe_key, facts.watcher_id, facts.contact_point_id)
        return f"{self._settings.base_url}{UNSUBSCRIBE_PATH}?token={token}"

    def _picture(self, claimed: Claim) -> bytes | None:
        try:
            picture = self._picture_of(claimed.facts)
        except Exception:
            # The mail is sent without its picture and says so.
            log.exception("delivery %s has no picture", claimed.id)
            return None
        if picture is None:
            log.warning(
                "delivery %s has no picture: its anomaly does not exist any more", claimed.id
            )
        return picture


def _report(attempt: Future[None]) -> None:
    # Not settled, so it is sent again with the same id when its lease has run out.
    problem = attempt.exception()
    if problem is not None:
        log.warning("a delivery could not be settled: %r", problem)


def _picture_until(enqueued_at: datetime, at: datetime) -> datetime:
    """Return until when the address of a picture is valid: the same in all attempts of a day.

    For a message that is sent again after days it is counted from the begin of the present day.
    """
    if at - enqueued_at < PICTURE_ATTEMPTS:
        return enqueued_at + DEFAULT_LIFETIME
    return at.replace(hour=0, minute=0, second=0, microsecond=0) + DEFAULT_LIFETIME
