"""Message, Target and Receipt: the input and the result of every channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from anomify.errors import UpstreamFailed

# The Content-ID by which the HTML part refers to the picture.
PICTURE_CID = "picture@anomify"


@dataclass(frozen=True, slots=True)
class Message:
    """One message in all formats; a channel uses those that it can show."""

    # The same for every attempt: receivers recognise repeated attempts by it.
    id: str
    # The id of the first message of the conversation, if this one is not the first.
    answers_id: str | None
    # Such as anomaly.opened.
    type: str
    occurred_at: datetime
    subject: str
    text: str
    html: str
    # The facts for programs, sent as JSON.
    data: Mapping[str, Any]
    # A PNG.
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: a URL or an e-mail address, and what a channel needs to send there."""

    address: str
    name: str = ""
    # The newest first; while one is replaced there are two.
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result of one attempt to send."""

    is_delivered: bool
    # Why it was not delivered, in a sentence for the people who configured the channel.
    problem: str = ""
    # Trying again is useless.
    is_permanent: bool = False
    # The receiver answered that it is gone for good (410).
    is_gone: bool = False
    retry_after_seconds: float | None = None

    @classmethod
    def of_failure(cls, failure: UpstreamFailed) -> "Receipt":
        """Return the receipt of a call that got no usable answer."""
        return cls(is_delivered=False, problem=failure.message, is_permanent=failure.permanent)


DELIVERED = Receipt(is_delivered=True)


class Channel(Protocol):
    """Sends messages. A failure of the receiver is returned in the receipt and not raised."""

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the message once and return the result."""
        ...
