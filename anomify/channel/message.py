"""Message, Target and Receipt: the input and the result of every channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from anomify.errors import UpstreamFailed

# The Content-ID by which the HTML part refers to the picture.
PICTURE_CID = "picture@anomify"


class Action(StrEnum):
    """What a person can do with a button of a message."""

    EXPECTED = "expected"
    ACKNOWLEDGE = "acknowledge"
    MUTE = "mute"


@dataclass(frozen=True, slots=True)
class Button:
    """A button of a message: what it does, what it is called, and what identifies its target."""

    action: Action
    words: str
    # Returned unchanged by the channel when the button is pressed.
    value: str


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
    # The conversation: the same in all messages about one incident to one recipient. Channels that
    # resolve or thread messages identify them by it. Empty in a test or a report.
    conversation: str = ""
    # What the channel returned as `Receipt.reference` for the first message of the conversation.
    first_reference: str = ""
    # low, medium or high; empty where nothing has a severity, as in a test.
    severity: str = ""
    # Whether what the message is about goes on. Channels with a state resolve it when it is over.
    is_ongoing: bool = False
    # When the incident began, and when it ended.
    began_at: datetime | None = None
    ended_at: datetime | None = None
    org_name: str = ""
    watcher_name: str = ""
    # What it is about, in short: the name of the metric, or how many there are.
    about: str = ""
    headline: str = ""
    sentence: str = ""
    # Named numbers and times, to be read in this order.
    lines: tuple[tuple[str, str], ...] = ()
    # A page that shows it, and what the link is called.
    link: str = ""
    link_words: str = ""
    # A signed address of the picture that opens without signing in.
    image_url: str = ""
    buttons: tuple[Button, ...] = ()
    # A signed address that stops these messages to this recipient without signing in (RFC 8058).
    unsubscribe_url: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes: a URL or an e-mail address, and what a channel needs to send there."""

    address: str
    name: str = ""
    # The newest first; while one is replaced there are two.
    secrets: tuple[str, ...] = field(default=(), repr=False)
    # The settings of the contact point by name, those included that are secret.
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


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
    # Identifies the message at the channel, such as the ts of Slack; later messages of the
    # conversation have it as `first_reference`.
    reference: str = ""

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
