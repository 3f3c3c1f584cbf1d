"""Send a message to PagerDuty by the Events API v2: trigger, acknowledge and resolve."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from anomify.channel.kind import ChannelKind, Setting
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.reply import (
    is_acknowledged,
    is_success,
    json_of,
    receipt_of,
    retried,
    text_of,
)
from anomify.channel.text import sentence_of, short
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import host_of
from anomify.outbound.http_client import Outbound

API: Final = "https://events.pagerduty.com"
ENQUEUE: Final = "/v2/enqueue"
CHANGE: Final = "/v2/change/enqueue"
DEDUP_KEY_MAX_CHARACTERS: Final = 255
SUMMARY_MAX_CHARACTERS: Final = 1024
# Of ours; an event may have 512 kB in all.
VALUE_MAX_CHARACTERS: Final = 1000
LINES_MAX: Final = 100
URL_MAX_CHARACTERS: Final = 4000
# PagerDuty's words for our severities.
SEVERITIES: Mapping[str, str] = {"high": "critical", "medium": "error", "low": "warning"}
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")


class PagerDutyChannel:
    """Sends events; the conversation of a message is its dedup_key."""

    def __init__(self, outbound: Outbound, *, api: str = API) -> None:
        """Send through this client, to `api` where a contact point names no other address."""
        self._outbound = outbound
        self._api = api.rstrip("/")

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the event of the message.

        A message without a conversation is a test or a report. A test opens an incident of the
        lowest severity and resolves it; a report is a change event, which notifies nobody.
        """
        url = target.settings.get("url", "").rstrip("/") or self._api
        base = url.removesuffix(ENQUEUE)
        key = target.settings.get("routing_key", "")
        if message.conversation:
            return self._sent(base + ENQUEUE, event_of(message, key))
        if not message.type.endswith(".test"):
            return self._sent(base + CHANGE, change_of(message, key))
        opened = self._sent(base + ENQUEUE, event_of(message, key))
        if not opened.is_delivered:
            return opened
        # A test has no more to say.
        resolve = {"routing_key": key, "event_action": "resolve", "dedup_key": dedup_key(message)}
        return self._sent(base + ENQUEUE, resolve)

    def _sent(self, url: str, event: Mapping[str, Any]) -> Receipt:
        try:
            reply = self._outbound.post(
                url, msgspec.json.encode(event), {"Content-Type": "application/json"}
            )
        except UpstreamFailed as failure:
            return retried(failure)
        if is_success(reply.status):
            return DELIVERED
        answer = json_of(reply)
        errors = answer.get("errors")
        listed = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
        advice = ""
        if "key" in listed.lower():
            advice = "Copy the integration key of an Events API v2 integration again."
        detail = listed or text_of(answer.get("message"))
        return receipt_of(reply, "PagerDuty", detail=detail, advice=advice)


def dedup_key(message: Message) -> str:
    """Return what makes events of one incident the same to PagerDuty."""
    key = message.conversation or message.id
    if len(key) <= DEDUP_KEY_MAX_CHARACTERS:
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def event_of(message: Message, routing_key: str) -> Mapping[str, Any]:
    """Return the event: acknowledge or resolve where the incident is that, else trigger."""
    action = "trigger"
    if message.conversation and not message.is_ongoing:
        action = "resolve"
    elif is_acknowledged(message):
        action = "acknowledge"
    details = {
        short(name, 100): short(value, VALUE_MAX_CHARACTERS)
        for name, value in message.lines[:LINES_MAX]
    }
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": dedup_key(message),
        "client": "Anomify",
        "payload": {
            "summary": sentence_of(message, SUMMARY_MAX_CHARACTERS),
            "source": short(message.about or message.org_name, 200) or "Anomify",
            "severity": SEVERITIES.get(message.severity, "info"),
            "timestamp": _iso(message.occurred_at),
            "group": short(message.org_name, 200),
            "class": short(message.headline, 200),
            "custom_details": {
                **details,
                "Org": short(message.org_name, 200),
                "Watcher": short(message.watcher_name, 200),
                "Message": message.id,
            },
        },
    }
    if message.link and len(message.link) <= URL_MAX_CHARACTERS:
        event["client_url"] = message.link
        event["links"] = [{"href": message.link, "text": short(message.link_words, 200) or "Open"}]
    # Others than https are not shown.
    if message.image_url.startswith("https://") and len(message.image_url) <= URL_MAX_CHARACTERS:
        image = {"src": message.image_url, "alt": "The metric around this moment"}
        event["images"] = [image | ({"href": message.link} if message.link else {})]
    return event


def change_of(message: Message, routing_key: str) -> Mapping[str, Any]:
    """Return a change event, which is listed at the service and notifies nobody."""
    change: dict[str, Any] = {
        "routing_key": routing_key,
        "payload": {
            "summary": sentence_of(message, SUMMARY_MAX_CHARACTERS),
            "source": short(message.org_name, 200) or "Anomify",
            "timestamp": _iso(message.occurred_at),
            "custom_details": {
                short(name, 100): short(value, VALUE_MAX_CHARACTERS)
                for name, value in message.lines[:LINES_MAX]
            },
        },
    }
    if message.link and len(message.link) <= URL_MAX_CHARACTERS:
        change["links"] = [{"href": message.link, "text": short(message.link_words, 200) or "Open"}]
    return change


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key_problem(key: str) -> str | None:
    if _ROUTING_KEY.fullmatch(key):
        return None
    return "An integration key of PagerDuty has 32 letters and digits."


def _path_problem(url: str) -> str | None:
    if urlsplit(url).path.rstrip("/") in {"", ENQUEUE}:
        return None
    return f"Write the address without a path, or with {ENQUEUE}."


def _make(settings: Settings) -> PagerDutyChannel:
    return PagerDutyChannel(
        Outbound(settings.egress_allow), api=settings.channel_api("pagerduty") or API
    )


KIND = ChannelKind(
    name="pagerduty",
    words="PagerDuty",
    about="An incident at a service of PagerDuty, resolved when it is over.",
    settings=(
        Setting(
            "routing_key",
            "Integration key",
            hint="Of an integration 'Events API v2' of the service, 32 characters.",
            is_secret=True,
            goes_to_url=True,
            check=_key_problem,
        ),
        Setting(
            "url",
            "Address",
            hint="Only for accounts in the EU: https://events.eu.pagerduty.com",
            is_required=False,
            is_url=True,
            check=_path_problem,
        ),
    ),
    make=_make,
    lane_of=lambda values: host_of(values.get("url", "")) or "events.pagerduty.com",
    takes_acknowledgement=True,
)
