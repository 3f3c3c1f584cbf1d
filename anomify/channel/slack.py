"""Send a message to a channel of Slack: by the token of a bot, or by an incoming webhook."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from anomify.channel import slack_blocks
from anomify.channel.kind import ChannelKind, Setting
from anomify.channel.message import DELIVERED, Message, Receipt, Target
from anomify.channel.reply import (
    TOO_MANY_REQUESTS,
    is_success,
    json_of,
    receipt_of,
    retried,
    text_of,
)
from anomify.channel.text import short
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import host_of
from anomify.outbound.http_client import HttpReply, Outbound

API: Final = "https://slack.com/api"
# An uploaded picture can be shown a moment after its upload only.
PICTURE_PAUSES_SECONDS: Final = (1.0, 2.0)
# After this time the picture is given up, so that the message is sent before its lease ends.
PICTURE_SECONDS_MAX: Final = 20.0
_TOKEN = re.compile(r"xox[a-z]-[A-Za-z0-9-]{1,500}|xoxe\.xox[a-z]-[A-Za-z0-9-]{1,900}")
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_CHANNEL_NAME_MAX_CHARACTERS: Final = 81

# What Slack answers, and what people can do about it.
_ERRORS: Mapping[str, str] = {
    "invalid_auth": "Slack does not accept the token; copy the bot token of the app again.",
    "not_authed": "Slack got no token; enter the bot token of the app.",
    "token_revoked": "The token was revoked; install the app again and enter its new bot token.",
    "token_expired": "The token has expired; enter a new bot token.",
    "account_inactive": "The app or its bot was removed from the workspace; install it again.",
    "channel_not_found": "Slack finds no such channel; check its name, and invite the app to it if "
    "it is private.",
    "not_in_channel": "The app is not in this channel; write /invite and its name there.",
    "is_archived": "The channel is archived; choose another one, or restore it.",
    "missing_scope": "The app may not do this; give it the scopes chat:write and files:write, and "
    "install it again.",
    "restricted_action": "The rules of the workspace do not let the app post to this channel.",
    "no_permission": "The rules of the workspace do not let the app post to this channel.",
    "ratelimited": "Slack limits how often it is called; the message waits.",
    "rate_limited": "Slack limits how often it is called; the message waits.",
    "msg_too_long": "Slack finds the message too long.",
    "invalid_blocks": "Slack does not accept the layout of the message.",
    "org_login_required": "The workspace is being moved; it is tried again.",
    "ekm_access_denied": "The administrators of the workspace have suspended access to it.",
    "team_access_not_granted": "The app has no access to this workspace; install it there.",
    "internal_error": "Slack had a fault; it is tried again.",
    "fatal_error": "Slack had a fault; it is tried again.",
    "service_unavailable": "Slack had a fault; it is tried again.",
    # Of incoming webhooks.
    "invalid_token": "Slack does not accept this address; copy that of the incoming webhook again.",
    "no_service": "The incoming webhook was removed; create a new one and enter its address.",
    "no_team": "Slack does not find the workspace; create a new incoming webhook there.",
    "channel_is_archived": "The channel is archived; choose another one, or restore it.",
    "action_prohibited": "The rules of the workspace do not let the webhook post to this channel.",
    "posting_to_general_channel_denied": "Only few may post to this channel; choose another one.",
}
# The first message was deleted, is in a channel that is not used any more, or takes no replies.
_NO_THREAD = frozenset(
    {
        "thread_not_found",
        "message_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
    }
)


class SlackChannel:
    """Posts by chat.postMessage with the picture uploaded, or to an incoming webhook."""

    def __init__(
        self,
        outbound: Outbound,
        *,
        api: str = API,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Send through this client; `api` is where Slack's methods are."""
        self._outbound = outbound
        self._api = api.rstrip("/")
        self._pause = pause

    def send(self, message: Message, target: Target) -> Receipt:
        """Post the message; `Receipt.reference` is the ts by which later ones become replies."""
        try:
            if target.settings.get("token"):
                return _Post(
                    self._outbound, self._api, self._pause, message, target.settings
                ).send()
            return self._send_to_webhook(message, target.settings)
        except UpstreamFailed as failure:
            return retried(failure)

    def _send_to_webhook(self, message: Message, settings: Mapping[str, str]) -> Receipt:
        payload = {
            "text": slack_blocks.fallback(message, _mentions(settings)),
            "blocks": slack_blocks.blocks(
                message,
                _mentions(settings),
                image=slack_blocks.image_of_url(message),
                has_buttons=bool(settings.get("signing_secret")),
            ),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        reply = self._outbound.post(
            settings.get("webhook_url", ""),
            msgspec.json.encode(payload),
            {"Content-Type": "application/json; charset=utf-8"},
        )
        if is_success(reply.status):
            return DELIVERED
        answer = short(reply.body.decode(errors="replace"), 200)
        return receipt_of(reply, "Slack", detail=answer, advice=_ERRORS.get(answer, ""))


@dataclass(slots=True)
class _Post:
    """One message that is posted with the token of a bot."""

    outbound: Outbound
    api: str
    pause: Callable[[float], None]
    message: Message
    settings: Mapping[str, str]

    def send(self) -> Receipt:
        started = time.monotonic()
        file_id = self._uploaded() if self.message.picture is not None else None
        reply, answer = self._posted(file_id)
        if self.message.first_reference and text_of(answer.get("error")) in _NO_THREAD:
            self.message = replace(self.message, first_reference="")
            reply, answer = self._posted(file_id)
        for seconds in PICTURE_PAUSES_SECONDS:
            is_late = time.monotonic() - started > PICTURE_SECONDS_MAX
            if file_id is None or is_late or not _is_about_picture(answer):
                break
            self.pause(seconds)
            reply, answer = self._posted(file_id)
        is_shared_apart = file_id is not None and _is_about_picture(answer)
        if is_shared_apart:
            reply, answer = self._posted(None)
        if answer.get("ok") is not True:
            return _refused(reply, answer, "chat.postMessage")
        timestamp = text_of(answer.get("ts"))
        if is_shared_apart and time.monotonic() - started < PICTURE_SECONDS_MAX:
            # The message is posted; without this its thread lacks the picture.
            self._uploaded(channel_id=text_of(answer.get("channel")), thread=timestamp)
        return Receipt(is_delivered=True, reference=timestamp)

    def _posted(self, file_id: str | None) -> tuple[HttpReply, Mapping[str, Any]]:
        message, settings = self.message, self.settings
        image = (
            slack_blocks.image_of_file(message, file_id)
            if file_id is not None
            else slack_blocks.image_of_url(message)
        )
        payload: dict[str, Any] = {
            "channel": settings.get("channel", ""),
            "text": slack_blocks.fallback(message, _mentions(settings)),
            "blocks": slack_blocks.blocks(
                message,
                _mentions(settings),
                image=image,
                has_buttons=bool(settings.get("signing_secret")),
            ),
            "unfurl_links": False,
            "unfurl_media": False,
            # The same in every attempt, for programs that read the channel.
            "metadata": {"event_type": "anomify_message", "event_payload": {"id": message.id}},
        }
        if message.first_reference:
            payload["thread_ts"] = message.first_reference
            # Who reads only the channel sees that it is over.
            payload["reply_broadcast"] = not message.is_ongoing
        return self._called("chat.postMessage", payload)

    def _uploaded(self, channel_id: str = "", thread: str = "") -> str | None:
        """Return the id of the picture as a file of Slack; None where it could not be uploaded.

        A message without its picture is worth more than none, so nothing is raised.
        """
        picture = self.message.picture or b""
        try:
            _, offer = self._called(
                "files.getUploadURLExternal",
                {
                    "filename": "anomaly.png",
                    "length": str(len(picture)),
                    "alt_txt": short(slack_blocks.picture_words(self.message), 1000),
                },
                is_form=True,
            )
            file_id, url = text_of(offer.get("file_id")), text_of(offer.get("upload_url"))
            if not file_id or not url:
                return None
            headers = {"Content-Type": "application/octet-stream"}
            if not is_success(self.outbound.post(url, picture, headers).status):
                return None
            title = short(self.message.headline or self.message.subject, 200)
            completed: dict[str, Any] = {"files": [{"id": file_id, "title": title}]}
            if channel_id:
                completed |= {"channel_id": channel_id, "thread_ts": thread}
            _, done = self._called("files.completeUploadExternal", completed)
        except UpstreamFailed:
            return None
        return file_id if done.get("ok") is True else None

    def _called(
        self, method: str, arguments: Mapping[str, Any], *, is_form: bool = False
    ) -> tuple[HttpReply, Mapping[str, Any]]:
        body = urlencode(arguments).encode() if is_form else msgspec.json.encode(arguments)
        kind = "application/x-www-form-urlencoded" if is_form else "application/json; charset=utf-8"
        reply = self.outbound.post(
            f"{self.api}/{method}",
            body,
            {"Content-Type": kind, "Authorization": f"Bearer {self.settings.get('token', '')}"},
        )
        return reply, json_of(reply)


def _refused(reply: HttpReply, answer: Mapping[str, Any], method: str) -> Receipt:
    error = text_of(answer.get("error"))
    if reply.status == TOO_MANY_REQUESTS:
        error = error or "ratelimited"
    if not is_success(reply.status) and reply.status != TOO_MANY_REQUESTS:
        return receipt_of(reply, "Slack", detail=error, advice=_ERRORS.get(error, ""))
    words = _ERRORS.get(error)
    if not words:
        words = f"Slack did not accept the message ({short(error, 100) or 'no reason given'})."
        messages = answer.get("response_metadata")
        if isinstance(messages, dict) and isinstance(messages.get("messages"), list):
            words += " " + short(" ".join(map(str, messages["messages"])), 300)
    receipt = receipt_of(reply, "Slack")
    return Receipt(
        is_delivered=False,
        problem=f"{words} ({method}: {short(error, 100) or reply.status})",
        retry_after_seconds=receipt.retry_after_seconds,
    )


def _is_about_picture(answer: Mapping[str, Any]) -> bool:
    return text_of(answer.get("error")) in {"invalid_blocks", "invalid_blocks_format"}


def _mentions(settings: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_USER.findall(settings.get("mentions", "")))


def _token_problem(token: str) -> str | None:
    if _TOKEN.fullmatch(token):
        return None
    return "This is no token of Slack: the bot token of an app begins with xoxb-."


def _channel_problem(channel: str) -> str | None:
    if len(channel) > _CHANNEL_NAME_MAX_CHARACTERS or not re.fullmatch(r"#?[^\s#@<>&,]+", channel):
        return "This is neither the name of a channel, such as #alerts, nor its id."
    return None


def _mentions_problem(mentions: str) -> str | None:
    if all(_USER.fullmatch(each) for each in re.split(r"[,\s]+", mentions.strip())):
        return None
    return "Write the ids of members with commas between them, such as U012AB3CD, W45EF67GH."


def _check_together(values: Mapping[str, str]) -> Mapping[str, str]:
    if values.get("token") and values.get("webhook_url"):
        return {"webhook_url": "Enter either a bot token or an incoming webhook, not both."}
    if values.get("token") and not values.get("channel"):
        return {"channel": "Name the channel that the bot posts to."}
    if not values.get("token") and not values.get("webhook_url"):
        return {"token": "Enter the bot token of your app, or the URL of an incoming webhook."}
    return {}


def _lane(values: Mapping[str, str]) -> str:
    return host_of(values.get("webhook_url", "")) or "slack.com"


def _make(settings: Settings) -> SlackChannel:
    return SlackChannel(Outbound(settings.egress_allow), api=settings.channel_api("slack") or API)


KIND = ChannelKind(
    name="slack",
    words="Slack",
    about="A message in a channel, with the picture, and a thread for each incident.",
    settings=(
        Setting(
            "token",
            "Bot token",
            hint="Begins with xoxb-; the app needs the scopes chat:write and files:write.",
            is_secret=True,
            is_required=False,
            check=_token_problem,
        ),
        Setting(
            "channel",
            "Channel",
            hint="Its name, such as #alerts, or its id. Invite the app to it.",
            is_required=False,
            check=_channel_problem,
        ),
        Setting(
            "webhook_url",
            "Incoming webhook",
            hint="Instead of a token: https://hooks.slack.com/services/... Without threads.",
            is_secret=True,
            is_required=False,
            is_url=True,
        ),
        Setting(
            "signing_secret",
            "Signing secret",
            hint="Of the app; with it messages have buttons whose presses are verified.",
            is_secret=True,
            is_required=False,
        ),
        Setting(
            "mentions",
            "Mentions",
            hint="Ids of members who are mentioned while it goes on, such as U012AB3CD.",
            is_required=False,
            check=_mentions_problem,
        ),
    ),
    make=_make,
    lane_of=_lane,
    check_together=_check_together,
    answers_in_thread=True,
    shows_picture=True,
)
