"""Send a message to a chat of Telegram by a bot: a photo with a caption, or text."""

import html
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from anomify.channel.kind import ChannelKind, Setting, fixed_lane
from anomify.channel.message import Message, Receipt, Target
from anomify.channel.reply import is_success, json_of, receipt_of, retried, text_of
from anomify.channel.text import cut_utf16, footer_of, headline_of, one_line, utf16_length
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.http_client import HttpReply, Outbound

API: Final = "https://api.telegram.org"
# Counted in 16-bit units of UTF-16, without the tags.
TEXT_MAX_UNITS: Final = 4096
CAPTION_MAX_UNITS: Final = 1024
# Of ours: one long name does not crowd out what follows.
PART_MAX_UNITS: Final = 400
CALLBACK_MAX_BYTES: Final = 64
URL_MAX_CHARACTERS: Final = 2000
_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,40}")

# Parts of what Telegram answers, and what people can do about it.
_ADVICE: Mapping[str, str] = {
    "unauthorized": "The token is wrong or was revoked; copy it again from BotFather.",
    "not found": "The token is wrong; copy it again from BotFather.",
    "chat not found": "Check the chat's id, and write to the bot or add it to the group first.",
    "bot was kicked": "Add the bot to the group again.",
    "bot was blocked": "Unblock the bot in the chat with it.",
    "bot is not a member": "Add the bot to the channel as an administrator.",
    "not enough rights": "Let the bot send messages and photos to this chat.",
    "have no rights": "Let the bot send messages and photos to this chat.",
    "user is deactivated": "The account was deleted; choose another chat.",
    "bot can't initiate": "Open the chat with the bot and press Start.",
    "too many requests": "Telegram limits how often it is called; the message waits.",
}


class TelegramChannel:
    """Sends by the Bot API; later messages of a conversation reply to its first one."""

    def __init__(self, outbound: Outbound, *, api: str = API) -> None:
        """Send through this client to the Bot API at `api`."""
        self._outbound = outbound
        self._api = api.rstrip("/")

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the message; `Receipt.reference` is the number of its message in the chat."""
        settings = target.settings
        token = quote(settings.get("token", ""), safe=":")
        arguments: dict[str, Any] = {
            "chat_id": settings.get("chat_id", ""),
            "parse_mode": "HTML",
        }
        if message.first_reference.isascii() and message.first_reference.isdigit():
            arguments["reply_parameters"] = {
                "message_id": int(message.first_reference[:18]),
                # Somebody may have deleted it.
                "allow_sending_without_reply": True,
            }
        rows = list(_rows(message, can_answer=bool(settings.get("secret_token"))))
        if rows:
            arguments["reply_markup"] = {"inline_keyboard": rows}
        url = f"{self._api}/bot{token}"
        try:
            if message.picture is not None:
                reply = self._with_photo(url, arguments, message, message.picture)
                if is_success(reply.status) or not _is_about_photo(reply):
                    return _receipt(reply)
            arguments |= {
                "text": text_in_html(message, TEXT_MAX_UNITS),
                "link_preview_options": {"is_disabled": True},
            }
            body = msgspec.json.encode(arguments)
            headers = {"Content-Type": "application/json"}
            return _receipt(self._outbound.post(f"{url}/sendMessage", body, headers))
        except UpstreamFailed as failure:
            return retried(failure)

    def _with_photo(
        self, url: str, arguments: Mapping[str, Any], message: Message, photo: bytes
    ) -> HttpReply:
        fields = {
            name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in arguments.items()
        }
        fields["caption"] = text_in_html(message, CAPTION_MAX_UNITS)
        boundary = secrets.token_hex(16)
        return self._outbound.post(
            f"{url}/sendPhoto",
            form_data(boundary, fields, "photo", "anomaly.png", photo),
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )


def text_in_html(message: Message, most: int) -> str:
    """Return the message in Telegram's HTML; without its tags it has at most `most` units.

    Whole lines are left out from the end, so that no tag and no entity is cut.
    """
    headline = cut_utf16(headline_of(message, PART_MAX_UNITS), PART_MAX_UNITS // 2)
    parts = [f"<b>{html.escape(headline)}</b>"]
    left = most - utf16_length(headline)
    footer = cut_utf16(footer_of(message, 200), PART_MAX_UNITS // 2)
    # The footer and the note of what is left out.
    left -= utf16_length(footer) + 4 + len("\n\n… and 999 more lines")
    if message.sentence and left > 0:
        sentence = cut_utf16(one_line(message.sentence), min(left, PART_MAX_UNITS))
        parts.append(html.escape(sentence))
        left -= utf16_length(sentence) + 2
    if message.lines:
        parts.append("")
    for shown, (name, value) in enumerate(message.lines):
        label = cut_utf16(one_line(name), PART_MAX_UNITS // 4)
        text = cut_utf16(one_line(value), PART_MAX_UNITS)
        left -= utf16_length(f"\n{label}: {text}")
        if left < 0:
            parts.append(f"… and {len(message.lines) - shown} more lines")
            break
        parts.append(f"{html.escape(label)}: <b>{html.escape(text)}</b>")
    if footer:
        parts.append(f"\n<i>{html.escape(footer)}</i>")
    return "\n".join(parts)


def form_data(
    boundary: str, fields: Mapping[str, str], file_field: str, file_name: str, content: bytes
) -> bytes:
    """Return the fields and one file as multipart/form-data (RFC 7578)."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file_field}"; '
        f'filename="{file_name}"\r\nContent-Type: image/png\r\n\r\n'.encode()
    )
    parts.append(content)
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return b"".join(parts)


def _rows(message: Message, *, can_answer: bool) -> Iterator[list[dict[str, str]]]:
    buttons = [
        {"text": cut_utf16(one_line(button.words), 60), "callback_data": data}
        for button in message.buttons
        if can_answer
        and len((data := f"{button.action.value}:{button.value}").encode()) <= CALLBACK_MAX_BYTES
    ]
    if buttons:
        yield buttons
    if message.link.startswith(("https://", "http://")) and len(message.link) < URL_MAX_CHARACTERS:
        words = cut_utf16(one_line(message.link_words), 60) or "Open"
        yield [{"text": words, "url": message.link}]


def _receipt(reply: HttpReply) -> Receipt:
    answer = json_of(reply)
    result = answer.get("result")
    if is_success(reply.status) and answer.get("ok") is not False:
        number = result.get("message_id") if isinstance(result, dict) else None
        return Receipt(is_delivered=True, reference=str(number) if isinstance(number, int) else "")
    description = text_of(answer.get("description"))
    parameters = answer.get("parameters")
    found = [words for part, words in _ADVICE.items() if part in description.lower()]
    advice = found[-1] if found else ""
    receipt = receipt_of(reply, "Telegram", detail=description, advice=advice)
    if not isinstance(parameters, dict):
        return receipt
    if isinstance(moved := parameters.get("migrate_to_chat_id"), int):
        return Receipt(
            is_delivered=False,
            problem=f"The group has become a supergroup; set {moved} as the id of the chat.",
        )
    wait = parameters.get("retry_after")
    if isinstance(wait, int) and wait >= 0:
        return Receipt(
            is_delivered=False, problem=receipt.problem, retry_after_seconds=float(min(wait, 10**9))
        )
    return receipt


def _is_about_photo(reply: HttpReply) -> bool:
    """Return whether the same message may be accepted without its picture."""
    description = text_of(json_of(reply).get("description")).lower()
    return any(word in description for word in ("photo", "image", "file", "media", "dimensions"))


def _token_problem(token: str) -> str | None:
    if _TOKEN.fullmatch(token):
        return None
    return "This is no token of a bot: BotFather gives one such as 123456789:AAF-and-so-on."


def _chat_problem(chat: str) -> str | None:
    if _CHAT.fullmatch(chat):
        return None
    return "This is neither the number of a chat nor the @name of a channel."


def _make(settings: Settings) -> TelegramChannel:
    return TelegramChannel(
        Outbound(settings.egress_allow), api=settings.channel_api("telegram") or API
    )


KIND = ChannelKind(
    name="telegram",
    words="Telegram",
    about="A message of your bot in a chat, with the picture; later ones reply to the first.",
    settings=(
        Setting(
            "token",
            "Bot token",
            hint="From BotFather, such as 123456789:AAF-and-so-on.",
            is_secret=True,
            check=_token_problem,
        ),
        Setting(
            "chat_id",
            "Chat",
            hint="The number of the chat or group, or the @name of a channel.",
            check=_chat_problem,
        ),
        Setting(
            "secret_token",
            "Secret of the callback",
            hint="Given to setWebhook as secret_token; with it messages have buttons.",
            is_secret=True,
            is_required=False,
        ),
    ),
    make=_make,
    lane_of=fixed_lane("api.telegram.org"),
    answers_in_thread=True,
    shows_picture=True,
)
