"""Send letters by the operator's mail server: claimed in one transaction, settled in another."""

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from anomify.channel.email import EmailChannel
from anomify.channel.message import Message, Receipt, Target
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database
from anomify.org.letter import ClaimedLetter, claim_letters, is_letter_due, settle_letter
from anomify.outbound.mail_server import MailServer

log = logging.getLogger(__name__)

# Letters sent at the same time: as many as deliveries by mail.
MOST = 4
POLL_SECONDS = 1.0
# Pause after the database could not be read.
DATABASE_PAUSE_SECONDS = 5.0


class LetterSender:
    """Sends due letters of `org.letter`; any number of senders may run at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Use the mail server of the settings; without one no letter is sent."""
        self._database = database
        self._has_server = settings.smtp_host is not None
        self._channel = EmailChannel(settings, MailServer(settings))

    def run_once(self) -> int:
        """Send what is due, up to `MOST`; return how many letters were attempted."""
        if not self._has_server:
            return 0
        with self._database.unit_of_work(write=False):
            if not is_letter_due(now()):
                return 0
        with self._database.unit_of_work():
            claimed = claim_letters(now(), MOST)
        by_recipient = defaultdict(list)
        for letter in claimed:
            by_recipient[letter.to].append(letter)
        if by_recipient:
            with ThreadPoolExecutor(len(by_recipient), thread_name_prefix="letters") as pool:
                for attempt in [
                    pool.submit(self._send_all, each) for each in by_recipient.values()
                ]:
                    attempt.result()
        return len(claimed)

    def run_until(self, stop: threading.Event) -> None:
        """Send until `stop` is set; letters in progress are settled before this returns."""
        while not stop.is_set():
            try:
                if not self.run_once():
                    stop.wait(POLL_SECONDS)
            except SQLAlchemyError as problem:
                log.warning("letters cannot be read or settled now: %s", problem)
                stop.wait(DATABASE_PAUSE_SECONDS)

    def _send_all(self, letters: Sequence[ClaimedLetter]) -> None:
        # One after the other, so that a person gets them in the order in which they were written.
        for letter in letters:
            self._send(letter)

    def _send(self, letter: ClaimedLetter) -> None:
        if now() >= letter.leased_until:
            # This process was paused, and another one may have sent it meanwhile.
            log.warning("letter %s: the lease has run out, another process will send it", letter.id)
            return
        receipt = self._attempt(letter)
        with self._database.unit_of_work():
            settle_letter(
                letter.id,
                letter.leased_until,
                now(),
                problem=None if receipt.is_delivered else receipt.problem,
                is_permanent=receipt.is_permanent,
            )
        if not receipt.is_delivered:
            log.warning("letter %s (%s): %s", letter.id, letter.purpose, receipt.problem)

    def _attempt(self, letter: ClaimedLetter) -> Receipt:
        message = Message(
            id=letter.id,
            answers_id=None,
            type=letter.purpose,
            occurred_at=now(),
            subject=letter.subject,
            text=letter.text,
            html="",
            data={},
        )
        try:
            return self._channel.send(message, Target(letter.to))
        except Exception:
            # A fault of ours, not of the server: the letter is tried again later.
            log.exception("letter %s could not be sent", letter.id)
            return Receipt(is_delivered=False, problem="The letter could not be made or sent.")
