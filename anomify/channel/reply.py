"""Receipts from the replies of HTTP receivers: what failed, and what people can do about it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from anomify.channel.message import Message, Receipt
from anomify.channel.text import short
from anomify.clock import now
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import HttpReply

GONE = 410
TOO_MANY_REQUESTS = 429
DETAIL_MAX_CHARACTERS = 200
# What to do, by the status that a receiver answers.
_ADVICE: Mapping[int, str] = {
    400: "It does not accept the message; compare the settings of the contact point with what it "
    "expects.",
    401: "Check the token or the password of the contact point.",
    403: "Check the token and the rights of the contact point.",
    404: "Check the address of the contact point.",
    GONE: "It is gone for good; set another address.",
    413: "It does not accept messages of this size.",
    TOO_MANY_REQUESTS: "It limits how often it is called; the message waits.",
}


def is_success(status: int) -> bool:
    """Return whether a status of HTTP means success."""
    return 200 <= status < 300  # noqa: PLR2004 -- what HTTP calls success


def receipt_of(reply: HttpReply, receiver: str, *, detail: str = "", advice: str = "") -> Receipt:
    """Return the receipt of a reply that is not a success. All but 410 are tried again.

    `detail` is what the receiver wrote; `advice` what people can do, if the status is not enough.
    """
    written = short(detail, DETAIL_MAX_CHARACTERS)
    answer = f"{receiver} answered {reply.status}{f' ({written})' if written else ''}."
    return Receipt(
        is_delivered=False,
        problem=f"{answer} {advice or _advice(reply.status)}".rstrip(),
        is_permanent=reply.status == GONE,
        is_gone=reply.status == GONE,
        retry_after_seconds=seconds_of(reply.headers.get("retry-after", ""), now()),
    )


def retried(failure: UpstreamFailed) -> Receipt:
    """Return the receipt of a call that got no reply; it is tried again whatever the reason."""
    return Receipt(is_delivered=False, problem=failure.message)


def misconfigured(problem: str) -> Receipt:
    """Return the receipt of a contact point that has to be corrected; it is tried again."""
    return Receipt(is_delivered=False, problem=problem)


def given_up(problem: str) -> str:
    """Return what an answer was without the promise that the message is tried again.

    >>> given_up("The receiver answered 503. The fault is at the receiver; it is tried again.")
    'The receiver answered 503. The fault is at the receiver.'
    """
    return problem.removesuffix(" It is tried again.").replace("; it is tried again.", ".")


def json_of(reply: HttpReply) -> Mapping[str, Any]:
    """Return the object that the body holds as JSON, or an empty one."""
    try:
        decoded = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def text_of(value: object) -> str:
    """Return a value of a reply if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def seconds_of(retry_after: str, at: datetime) -> float | None:
    """Return Retry-After in seconds, from seconds or a date; None for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # Nine digits at most: longer pauses are limited by the caller anyway.
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - at).total_seconds())


def is_acknowledged(message: Message) -> bool:
    """Return whether the message only says that somebody has taken the incident over."""
    return message.is_ongoing and message.type.endswith(".acknowledged")


def _advice(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004 -- what HTTP calls redirection
        return "Set its new address: redirects are not followed."
    if status >= 500:  # noqa: PLR2004 -- what HTTP calls the server's error
        return "The fault is at the receiver; it is tried again."
    return _ADVICE.get(status, "It is tried again.")
