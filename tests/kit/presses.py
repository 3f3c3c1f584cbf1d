"""Requests as Slack and Telegram send them when somebody presses a button of a message."""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from anomify.channel.message import Action
from anomify.clock import now_timestamp
from anomify.config import Settings
from anomify.contact_point.button import KEY_PURPOSE, button_value, subject_of_anomaly
from anomify.contact_point.model import ContactPoint

SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TELEGRAM_SECRET = "telegram-secret-token"
TEAM = "T000"
CHANNEL = ("C0123ABCD", "alerts")


def value_for(settings: Settings, point: ContactPoint, action: Action, anomaly_id: int) -> str:
    key = settings.key_for(KEY_PURPOSE)
    return button_value(key, point, action.value, subject_of_anomaly(anomaly_id))


def slack_press(
    value: str,
    action: Action,
    *,
    member: str = "U1",
    team: str = TEAM,
    channel: tuple[str, str] = CHANNEL,
    response_url: str = "https://hooks.slack.com/actions/T000/1/x",
    secret: str = SIGNING_SECRET,
    at: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the body and the headers of the request, as the test client takes them."""
    payload = {
        "type": "block_actions",
        "user": {"id": member, "team_id": team},
        "team": {"id": team},
        "channel": {"id": channel[0], "name": channel[1]},
        "message": {"ts": "1795090320.000001"},
        "response_url": response_url,
        "actions": [{"type": "button", "action_id": action.value, "value": value}],
        **more,
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    timestamp = str(now_timestamp() if at is None else at)
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256)
    return {
        "data": body,
        "headers": {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={signed.hexdigest()}",
        },
    }


def telegram_press(
    value: str,
    action: Action,
    *,
    member: int = 42,
    chat: int = -100123,
    secret: str = TELEGRAM_SECRET,
) -> dict[str, Any]:
    """Return the body and the headers of the request, as the test client takes them."""
    update = {
        "update_id": 1,
        "callback_query": {
            "id": "7",
            "from": {"id": member},
            "message": {"message_id": 1, "chat": {"id": chat}},
            "data": f"{action.value}:{value}",
        },
    }
    return {
        "data": json.dumps(update).encode(),
        "headers": {
            "Content-Type": "application/json",
            "X-Telegram-Bot-Api-Secret-Token": secret,
        },
    }
