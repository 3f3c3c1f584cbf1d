"""Send a test message to a contact point at once, and return what its receiver answered."""

import logging
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Final
from uuid import uuid4

from anomify.channel.message import Channel, Message, Receipt, Target
from anomify.clock import now

log = logging.getLogger(__name__)

# People wait for the answer. Channels have deadlines of their own, that of mails is longer.
WAIT_SECONDS: Final = 10.0
# Attempts that still run after their deadline count here, too.
AT_ONCE_MAX: Final = 16
TYPE: Final = "contact_point.test"

_turns = BoundedSemaphore(AT_ONCE_MAX)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test message."""

    is_delivered: bool
    # Why it was not delivered, in a sentence; empty if it was.
    problem: str = ""
    # Whether anything was sent at all.
    is_attempted: bool = True


def trial_message(org_name: str, contact_name: str) -> Message:
    """Return the test message; it is about nothing that happened."""
    sentence = (
        f"If you can read this, the contact point {contact_name} of {org_name} works. Nothing has "
        "happened."
    )
    return Message(
        id=str(uuid4()),
        answers_id=None,
        type=TYPE,
        occurred_at=now(),
        subject=f"Test of the contact point {contact_name}",
        text=f"This is a test\n\n{sentence}\n",
        html="",
        data={"sentence": sentence, "org": {"name": org_name}},
        org_name=org_name,
        about=contact_name,
        headline="This is a test",
        sentence=sentence,
    )


def try_out(
    channel: Channel, message: Message, target: Target | Receipt, wait_seconds: float = WAIT_SECONDS
) -> Trial:
    """Send the message once and return the result; no unit of work may be open meanwhile."""
    if isinstance(target, Receipt):
        return Trial(is_delivered=False, problem=target.problem, is_attempted=False)
    if not _turns.acquire(blocking=False):
        problem = "Too many tests are running; try again soon."
        return Trial(is_delivered=False, problem=problem, is_attempted=False)
    results: SimpleQueue[Receipt] = SimpleQueue()

    def send() -> None:
        try:
            results.put(channel.send(message, target))
        except Exception:
            log.exception("a test message could not be sent")
            results.put(Receipt(is_delivered=False, problem="The message could not be sent."))
        finally:
            _turns.release()

    Thread(target=send, name="test-message", daemon=True).start()
    try:
        receipt = results.get(timeout=wait_seconds)
    except Empty:
        return Trial(
            is_delivered=False, problem=f"There was no answer within {wait_seconds:g} seconds."
        )
    return Trial(receipt.is_delivered, receipt.problem)
