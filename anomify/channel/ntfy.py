"""Send a message to a topic of ntfy, published as JSON."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from anomify.channel.kind import ChannelKind, Setting, host_lane
from anomify.channel.message import Message, Receipt, Target
from anomify.channel.reply import is_success, json_of, misconfigured, receipt_of, retried, text_of
from anomify.channel.text import cut_bytes, facts_of, footer_of, headline_of, short
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import Outbound

# A longer message becomes a file that is attached.
MESSAGE_MAX_BYTES: Final = 4000
TITLE_MAX_CHARACTERS: Final = 200
URL_MAX_CHARACTERS: Final = 2000
# ntfy's priorities: 5 rings, 3 is the usual one, 2 makes no sound.
PRIORITIES: Mapping[str, int] = {"high": 5, "medium": 4, "low": 3}
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NtfyChannel:
    """Publishes to the server of the topic's URL."""

    def __init__(self, outbound: Outbound) -> None:
        """Send through this client."""
        self._outbound = outbound

    def send(self, message: Message, target: Target) -> Receipt:
        """Publish the message; `Receipt.reference` is the id that the server gave it."""
        found = _server_and_topic(target.address or target.settings.get("url", ""))
        if found is None:
            return misconfigured("The URL names no topic; write it as https://ntfy.sh/my-topic.")
        server, topic = found
        headers = {"Content-Type": "application/json"}
        if token := target.settings.get("token"):
            headers["Authorization"] = f"Bearer {token}"
        try:
            reply = self._outbound.post(
                server, msgspec.json.encode({"topic": topic, **publication_of(message)}), headers
            )
        except UpstreamFailed as failure:
            return retried(failure)
        answer = json_of(reply)
        if is_success(reply.status):
            return Receipt(is_delivered=True, reference=text_of(answer.get("id")))
        return receipt_of(reply, "ntfy", detail=text_of(answer.get("error")))


def publication_of(message: Message) -> Mapping[str, Any]:
    """Return the fields of the message, without the topic."""
    is_over = bool(message.conversation) and not message.is_ongoing
    text = facts_of(message, MESSAGE_MAX_BYTES)
    if footer := footer_of(message, 300):
        room = MESSAGE_MAX_BYTES - len(footer.encode()) - 2
        text = f"{cut_bytes(text, room)}\n\n{footer}"
    publication: dict[str, Any] = {
        "title": headline_of(message, TITLE_MAX_CHARACTERS),
        "message": cut_bytes(text, MESSAGE_MAX_BYTES),
        "priority": 3 if is_over else PRIORITIES.get(message.severity, 3),
        # Shown as symbols before the title.
        "tags": _tags(message, is_over=is_over),
        # A message that arrives twice replaces itself, where the server is new enough.
        "sequence_id": re.sub(r"[^A-Za-z0-9_-]", "", message.id)[:64],
    }
    if message.link and len(message.link) <= URL_MAX_CHARACTERS:
        publication["click"] = message.link
        words = short(message.link_words, 50) or "Open"
        publication["actions"] = [{"action": "view", "label": words, "url": message.link}]
    if message.image_url and len(message.image_url) <= URL_MAX_CHARACTERS:
        publication["attach"] = message.image_url
        publication["filename"] = "anomaly.png"
    return publication


def _tags(message: Message, *, is_over: bool) -> list[str]:
    if is_over:
        return ["white_check_mark"]
    if not message.conversation:
        return ["bar_chart"]
    return ["rotating_light" if message.severity == "high" else "warning"]


def _server_and_topic(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url.rstrip("/"))
    path, _, topic = parts.path.rpartition("/")
    if not _TOPIC.fullmatch(topic):
        return None
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", "")), topic


def _url_problem(url: str) -> str | None:
    if _server_and_topic(url) is not None:
        return None
    return "The URL has to end in a topic: up to 64 letters, digits, - and _."


def _token_problem(token: str) -> str | None:
    if re.fullmatch(r"[!-~]{1,200}", token):
        return None
    return "A token has letters without accents, digits and signs only."


KIND = ChannelKind(
    name="ntfy",
    words="ntfy",
    about="A notification on phones that subscribe to a topic.",
    settings=(
        Setting(
            "url",
            "Topic URL",
            hint="Such as https://ntfy.sh/my-topic",
            is_url=True,
            check=_url_problem,
        ),
        Setting(
            "token",
            "Access token",
            hint="Begins with tk_; only where the topic is protected.",
            is_secret=True,
            is_required=False,
            goes_to_url=True,
            check=_token_problem,
        ),
    ),
    make=lambda settings: NtfyChannel(Outbound(settings.egress_allow)),
    lane_of=host_lane("url"),
    address_setting="url",
)
