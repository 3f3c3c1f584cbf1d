"""Requests from Slack: their signatures, and what a pressed button says."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from anomify.channel.reply import text_of

# How old a request may be; Slack recommends this.
WINDOW_SECONDS: Final = 300
TIMESTAMP_HEADER: Final = "X-Slack-Request-Timestamp"
SIGNATURE_HEADER: Final = "X-Slack-Signature"


@dataclass(frozen=True, slots=True)
class SlackPress:
    """A button of a message that somebody pressed."""

    action: str
    value: str
    member_id: str
    # The workspace of the member, where Slack states it, else that of the request.
    member_team_id: str
    team_id: str
    channel_id: str
    channel_name: str
    response_url: str
    # The first message of the thread.
    thread: str


def is_signed(secret: str, timestamp: str, body: bytes, signature: str, now_seconds: int) -> bool:
    """Return whether Slack signed the body with this secret within the last five minutes."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > len("9999999999"):
        return False
    if abs(now_seconds - int(timestamp)) > WINDOW_SECONDS:
        return False
    signed = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def press_of(body: bytes) -> SlackPress | None:
    """Return the pressed button that a form with a payload describes, or None for another."""
    try:
        form = parse_qs(body.decode(), max_num_fields=10)
        payload = msgspec.json.decode(form.get("payload", [""])[0])
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        return None
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(action, dict):
        return None
    team, user = _part(payload, "team"), _part(payload, "user")
    channel, message = _part(payload, "channel"), _part(payload, "message")
    return SlackPress(
        action=text_of(action.get("action_id")),
        value=text_of(action.get("value")),
        member_id=text_of(user.get("id")),
        member_team_id=text_of(user.get("team_id")) or text_of(team.get("id")),
        team_id=text_of(team.get("id")),
        channel_id=text_of(channel.get("id")),
        channel_name=text_of(channel.get("name")),
        response_url=text_of(payload.get("response_url")),
        thread=text_of(message.get("thread_ts")) or text_of(message.get("ts")),
    )


def _part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}
