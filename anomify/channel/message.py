"""Message and Receipt: what every channel takes, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from anomify.errors import UpstreamFailed

# How the text in HTML names the picture that lies beside it.
PICTURE_CID = "picture@anomify"


@dataclass(frozen=True, slots=True)
class Message:
    """One message in all its shapes; a channel takes the one it can show."""

    # The same for every attempt: receivers recognise repeated attempts by it.
    id: str
    # The first message of a conversation that this one belongs to, when it is not the first.
    answers_id: str | None
    # Such as anomaly.opened.
    type: str
    occurred_at: datetime
    subject: str
    text: str
    html: str
    # The facts for machines, as JSON will have them.
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
    """What became of one attempt."""

    is_delivered: bool
    # Why not, in a sentence for the people who set the channel up.
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
