"""Send a message as a text message, by the API of Twilio or of another that has its shape."""

import base64
import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from anomify.channel.kind import ChannelKind, Person, Setting
from anomify.channel.message import Message, Receipt, Target
from anomify.channel.reply import (
    is_success,
    json_of,
    misconfigured,
    receipt_of,
    retried,
    text_of,
)
from anomify.channel.text import cut, cut_utf16, one_line, sentence_of, utf16_length
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.address_guard import host_of
from anomify.outbound.http_client import Outbound

API: Final = "https://api.twilio.com"
VERSION: Final = "2010-04-01"
# One part in the usual alphabet of GSM, and two parts: a joined part has less room.
PART_SEPTETS: Final = 160
TEXT_MAX_SEPTETS: Final = 306
# Two parts where a letter is not in that alphabet and all are sent in UTF-16.
TEXT_MAX_UNITS: Final = 134
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+?[0-9]{3,15}|[A-Za-z0-9 ]{1,11}|MG[0-9a-fA-F]{32}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{2,64}")
# GSM 03.38: the basic alphabet, and the characters that take two places.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_DOUBLE = frozenset("^{}\\[~]|€")
# Signs that would make the whole text cost twice as much.
_SIMPLER = str.maketrans(
    {
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{MINUS SIGN}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{MIDDLE DOT}": "-",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{NO-BREAK SPACE}": " ",
        "\N{NARROW NO-BREAK SPACE}": " ",
    }
)
# Codes of Twilio, and what people can do about them.
_ADVICE: Mapping[int, str] = {
    20003: "Check the account SID and the auth token.",
    20404: "Check the account SID.",
    20429: "It limits how often it is called; the message waits.",
    21211: "Check the phone number of the recipient, with + and the code of its country.",
    21212: "Check the number of the sender.",
    21408: "Enable text messages to this country in the account.",
    21606: "The sender is no number of the account that can send text messages.",
    21608: "A trial account sends to verified numbers only; verify it, or upgrade the account.",
    21610: "The recipient has replied STOP; they have to send START to the number.",
    21614: "The number of the recipient cannot receive text messages.",
    21704: "Add a number to the messaging service.",
}


class SmsChannel:
    """Sends text messages of at most two parts, without a picture."""

    def __init__(self, outbound: Outbound, *, api: str = API) -> None:
        """Send through this client, to `api` where a contact point names no other address."""
        self._outbound = outbound
        self._api = api.rstrip("/")

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the text; `Receipt.reference` is the SID of its message."""
        settings = target.settings
        recipient = settings.get("to", "") or target.address
        if not _PHONE.fullmatch(recipient):
            return misconfigured(
                "There is no phone number to send to; the person has to enter theirs, with + and "
                "the code of the country."
            )
        account, sender = settings.get("account_sid", ""), settings.get("from", "")
        key = "MessagingServiceSid" if re.fullmatch("MG[0-9a-fA-F]{32}", sender) else "From"
        body = urlencode({"To": recipient, key: sender, "Body": text_of_message(message)})
        credentials = f"{account}:{settings.get('auth_token', '')}".encode()
        base = settings.get("url", "").rstrip("/") or self._api
        try:
            reply = self._outbound.post(
                f"{base}/{VERSION}/Accounts/{quote(account, safe='')}/Messages.json",
                body.encode(),
                {
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Authorization": f"Basic {base64.b64encode(credentials).decode()}",
                    # The same in every attempt. Services that do not use it ignore it.
                    "I-Twilio-Idempotency-Token": message.id,
                    "Idempotency-Key": message.id,
                },
            )
        except UpstreamFailed as failure:
            return retried(failure)
        answer = json_of(reply)
        if is_success(reply.status):
            return Receipt(is_delivered=True, reference=text_of(answer.get("sid")))
        code = answer.get("code")
        advice = _ADVICE.get(code, "") if isinstance(code, int) else ""
        return receipt_of(
            reply, "The SMS service", detail=text_of(answer.get("message")), advice=advice
        )


def text_of_message(message: Message) -> str:
    """Return the text: what has happened, and the link where two parts have room for it."""
    words = sentence_of(message, 1000)
    if message.org_name and message.org_name not in words:
        words = f"{one_line(message.org_name)}: {words}"
    simple = unicodedata.normalize("NFC", words.translate(_SIMPLER))
    link = message.link if message.link.isascii() and message.link.isprintable() else ""
    if septets(simple) is None:
        text = cut_utf16(simple, TEXT_MAX_UNITS)
        has_room = utf16_length(text) + 1 + len(link) <= TEXT_MAX_UNITS
        return f"{text} {link}" if link and has_room else text
    with_link = f"{simple} {link}"
    if link and (septets(with_link) or 0) <= TEXT_MAX_SEPTETS:
        return with_link
    return _cut_septets(simple, TEXT_MAX_SEPTETS)


def septets(text: str) -> int | None:
    """Return how many places the text takes in the alphabet of GSM; None if it does not fit in.

    >>> septets("a{}"), septets("ж")
    (5, None)
    """
    if not all(character in _BASIC or character in _DOUBLE for character in text):
        return None
    return len(text) + sum(character in _DOUBLE for character in text)


def _cut_septets(text: str, most: int) -> str:
    room = most
    while (septets(text) or 0) > most:
        text = cut(text, min(room, len(text) - 1), "...")
        room = len(text) - 1
    return text


def _phone_problem(phone: str) -> str | None:
    if _PHONE.fullmatch(phone):
        return None
    return "Write the number with + and the code of the country, without spaces."


def _sender_problem(sender: str) -> str | None:
    if _SENDER.fullmatch(sender):
        return None
    return "This is no number, no name of up to 11 letters and no messaging service (MG...)."


def _account_problem(account: str) -> str | None:
    return None if _ACCOUNT.fullmatch(account) else "This is no account SID."


def _token_problem(token: str) -> str | None:
    return None if re.fullmatch(r"[!-~]{1,200}", token) else "This is no auth token."


def _make(settings: Settings) -> SmsChannel:
    return SmsChannel(Outbound(settings.egress_allow), api=settings.channel_api("twilio") or API)


KIND = ChannelKind(
    name="sms",
    words="SMS",
    about="A text message to a person of the org, by your account at Twilio.",
    settings=(
        Setting("account_sid", "Account SID", hint="Begins with AC.", check=_account_problem),
        Setting("auth_token", "Auth token", is_secret=True, goes_to_url=True, check=_token_problem),
        Setting(
            "from",
            "Sender",
            hint="A number of the account, such as +15005550006, or a messaging service (MG...).",
            check=_sender_problem,
        ),
        Setting(
            "to",
            "Recipient",
            hint="A phone number, where it is for no person of the org.",
            is_required=False,
            check=_phone_problem,
        ),
        Setting(
            "url",
            "Address",
            hint="Of another service with Twilio's API.",
            is_required=False,
            is_url=True,
        ),
    ),
    make=_make,
    lane_of=lambda values: host_of(values.get("url", "")) or "api.twilio.com",
    person=Person.PHONE,
    address_setting="to",
)
