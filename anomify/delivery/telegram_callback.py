"""Buttons that people press in Telegram: verified, mapped to a user of the org, carried out."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select

from anomify.channel.message import Action
from anomify.channel.telegram import API
from anomify.config import Settings
from anomify.contact_point.button import KEY_PURPOSE as BUTTON_KEY_PURPOSE
from anomify.contact_point.button import is_genuine, read_button
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import find_for_callback
from anomify.contact_point.settings import settings_of
from anomify.db import Database, session
from anomify.delivery.button_actions import act, allowed_user
from anomify.errors import AnomifyError, Denied, Invalid, Unauthenticated, UpstreamFailed
from anomify.metric.store import PointStore
from anomify.org.sealing import PURPOSE, SealBroken
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import Outbound
from anomify.user.model import User

KIND: Final = "telegram"
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 -- the name of a header
LIMITS: Final = CallLimits(connect_seconds=1.5, read_seconds=2, total_seconds=2.5)
# What Telegram shows over the chat.
ANSWER_MAX_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class TelegramPress:
    """A button of a message that somebody pressed."""

    query_id: str
    action: str
    value: str
    member_id: str
    # The number of the chat, and its @name where it has one.
    chats: frozenset[str]


class TelegramCallback:
    """Takes the updates that Telegram sends when somebody presses a button."""

    def __init__(self, database: Database, settings: Settings, points: PointStore) -> None:
        """Act on this database, and call Telegram with these settings."""
        self._database = database
        self._settings = settings
        self._points = points
        self._outbound = Outbound(settings.egress_allow, limits=LIMITS)

    def take(self, body: bytes, secret_token: str) -> str:
        """Do what was asked for, tell the person, and return the sentence.

        An update that is no pressed button is taken without effect, so that Telegram does not send
        it again. Raises `Unauthenticated` for a forged one, `Denied` for one of another chat.
        """
        press = press_of(body)
        if press is None:
            return ""
        value = read_button(press.value)
        if value is None:
            raise Invalid("This is no button of a message of ours.")
        with self._database.unit_of_work(write=False):
            point = find_for_callback(value.contact_point_id, KIND)
            values = {} if point is None else self._settings_of(point)
        secret = values.get("secret_token", "")
        if point is None or not secret or not _is_same(secret, secret_token):
            raise Unauthenticated("The secret token of the request is wrong.", code="bad_signature")
        key = self._settings.key_for(BUTTON_KEY_PURPOSE)
        if not is_genuine(key, point, press.action, value) or press.action not in set(Action):
            raise Denied("This button was not made by this server.", code="bad_button")
        if values.get("chat_id", "") not in press.chats:
            raise Denied("The request comes from another chat.", code="other_channel")
        said = self._carried_out(press, point.org_id, value.subject)
        self._tell(press, values, said)
        return said

    def _settings_of(self, point: ContactPoint) -> Mapping[str, str]:
        try:
            return settings_of(point, self._settings.key_for(PURPOSE))
        except SealBroken:
            return {}

    def _carried_out(self, press: TelegramPress, org_id: int, subject: str) -> str:
        try:
            with self._database.unit_of_work():
                linked = (
                    session()
                    .scalars(
                        select(User.email).where(
                            User.org_id == org_id, User.telegram_member_id == press.member_id
                        )
                    )
                    .all()
                )
                # Where two users name the same account, neither is meant.
                user = allowed_user(org_id, linked[0] if len(linked) == 1 else "")
                base_url = self._settings.base_url
                return act(user, Action(press.action), subject, self._points, base_url)
        except AnomifyError as error:
            return error.message

    def _tell(self, press: TelegramPress, values: Mapping[str, str], sentence: str) -> None:
        api = (self._settings.channel_api("telegram") or API).rstrip("/")
        answer = {
            "callback_query_id": press.query_id,
            "text": sentence[:ANSWER_MAX_CHARACTERS],
            "show_alert": True,
        }
        try:
            self._outbound.post(
                f"{api}/bot{values.get('token', '')}/answerCallbackQuery",
                msgspec.json.encode(answer),
                {"Content-Type": "application/json"},
            )
        except UpstreamFailed:
            # It is done all the same; only the answer is missing in Telegram.
            return


def press_of(body: bytes) -> TelegramPress | None:
    """Return the pressed button that an update describes, or None for another update."""
    try:
        update = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid("The body is no update of Telegram.") from None
    query = _part(update, "callback_query")
    if not query:
        return None
    action, _, value = str(query.get("data", "")).partition(":")
    chat = _part(_part(query, "message"), "chat")
    names = [str(chat.get("id", "")), f"@{chat.get('username', '')}"]
    return TelegramPress(
        query_id=str(query.get("id", "")),
        action=action,
        value=value,
        member_id=str(_part(query, "from").get("id", "")),
        chats=frozenset(name for name in names if len(name) > 1),
    )


def _part(found: Any, name: str) -> Mapping[str, Any]:
    part = found.get(name) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode(errors="replace"))
