"""Send a message to a workflow of Microsoft Teams, as an Adaptive Card."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from anomify.channel.kind import ChannelKind, Setting, host_lane
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.reply import is_success, json_of, receipt_of, retried, text_of
from anomify.channel.text import footer_of, headline_of, sentence_of, short
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import Outbound

# Teams refuses larger messages.
MESSAGE_MAX_BYTES: Final = 28_000
SENTENCE_MAX_CHARACTERS: Final = 2000
HEADLINE_MAX_CHARACTERS: Final = 300
NAME_MAX_CHARACTERS: Final = 120
VALUE_MAX_CHARACTERS: Final = 1000
URL_MAX_BYTES: Final = 4000
# Of ours: the colours that Teams offers, by severity.
_COLOURS: Mapping[str, str] = {"high": "Attention", "medium": "Warning", "low": "Accent"}


class TeamsChannel:
    """Posts to the URL that the Workflows app of Teams gives for a channel."""

    def __init__(self, outbound: Outbound) -> None:
        """Send through this client."""
        self._outbound = outbound

    def send(self, message: Message, target: Target) -> Receipt:
        """Post the message as a card."""
        try:
            reply = self._outbound.post(
                target.address or target.settings.get("url", ""),
                body_of(message),
                {"Content-Type": "application/json"},
            )
        except UpstreamFailed as failure:
            return retried(failure)
        if is_success(reply.status):
            return DELIVERED
        error = json_of(reply).get("error")
        detail = text_of(error.get("message")) if isinstance(error, dict) else ""
        return receipt_of(reply, "Teams", detail=detail, advice=_advice(reply.status))


def body_of(message: Message) -> bytes:
    """Return the message as JSON; the last lines are left out where it would be too large."""
    most = len(message.lines)
    while True:
        body = msgspec.json.encode(_envelope(message, most))
        if len(body) <= MESSAGE_MAX_BYTES or most == 0:
            return body
        most = most * 3 // 4


def _envelope(message: Message, lines_most: int) -> Mapping[str, Any]:
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        # The newest version that Teams shows on all its clients.
        "version": "1.4",
        "fallbackText": sentence_of(message, SENTENCE_MAX_CHARACTERS),
        "msteams": {"width": "Full"},
        "body": list(_body(message, lines_most)),
    }
    if message.link and len(message.link.encode()) <= URL_MAX_BYTES:
        words = short(message.link_words, NAME_MAX_CHARACTERS) or "Open"
        card["actions"] = [{"type": "Action.OpenUrl", "title": words, "url": message.link}]
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": card,
            }
        ],
    }


def _body(message: Message, lines_most: int) -> Iterator[Mapping[str, Any]]:
    colour = _COLOURS.get(message.severity, "Default") if message.is_ongoing else "Good"
    if not message.conversation:
        colour = "Default"
    headline = headline_of(message, HEADLINE_MAX_CHARACTERS)
    yield _text([_run(headline, size="Large", weight="Bolder", color=colour)])
    if message.sentence:
        yield _text([_run(short(message.sentence, SENTENCE_MAX_CHARACTERS))])
    if message.image_url and len(message.image_url.encode()) <= URL_MAX_BYTES:
        yield {
            "type": "Image",
            "url": message.image_url,
            "altText": "The metric around this moment, with the range that was expected",
            "msteams": {"allowExpand": True},
        }
    for name, value in message.lines[:lines_most]:
        label = _run(f"{short(name, NAME_MAX_CHARACTERS)}: ", weight="Bolder")
        yield _text([label, _run(short(value, VALUE_MAX_CHARACTERS))], spacing="Small")
    if (left_out := len(message.lines) - lines_most) > 0:
        yield _text([_run(f"And {left_out} more lines.")], spacing="Small")
    if footer := footer_of(message, HEADLINE_MAX_CHARACTERS):
        yield _text([_run(footer, size="Small", isSubtle=True)])


def _text(runs: list[Mapping[str, Any]], **more: str) -> Mapping[str, Any]:
    # In a RichTextBlock no text is read as Markdown, as in a TextBlock it would be.
    return {"type": "RichTextBlock", "inlines": runs, **more}


def _run(text: str, **more: str | bool) -> Mapping[str, Any]:
    # An empty text is refused. Teams replaces {{DATE(...)}} and {{TIME(...)}} in every text.
    return {"type": "TextRun", "text": text.replace("{{", "{ {") or "-", **more}


def _advice(status: int) -> str:
    if status in {401, 403, 404}:
        return "The workflow was deleted, turned off or replaced; copy its URL again."
    return ""


KIND = ChannelKind(
    name="teams",
    words="Microsoft Teams",
    about="A card in a channel or a chat, by a workflow.",
    settings=(
        Setting(
            "url",
            "Workflow URL",
            hint="Of a workflow that begins with 'When a Teams webhook request is received'.",
            is_secret=True,
            is_url=True,
        ),
    ),
    make=lambda settings: TeamsChannel(Outbound(settings.egress_allow)),
    lane_of=host_lane("url"),
    address_setting="url",
)
