"""Buttons that people press in Slack: verified, mapped to a user of the org, and carried out."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select

from anomify.channel.message import Action
from anomify.channel.slack_request import SlackPress, is_signed, press_of
from anomify.channel.slack_workspace import SlackWorkspace
from anomify.clock import now_timestamp
from anomify.config import Settings
from anomify.contact_point.button import KEY_PURPOSE as BUTTON_KEY_PURPOSE
from anomify.contact_point.button import ButtonValue, is_genuine, read_button
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

KIND: Final = "slack"
# Slack shows an error to the person after three seconds.
LIMITS: Final = CallLimits(connect_seconds=1.5, read_seconds=2, total_seconds=2.5)
SIGNATURE_WRONG: Final = "The signature of the request is not valid."
# Slack names private channels and conversations like this in what it sends.
_UNNAMED: Final = frozenset({"privategroup", "directmessage", ""})
_TEAM_IN_WEBHOOK: Final = re.compile(r"/services/(T[A-Z0-9]{2,20})/")


class SlackCallback:
    """Takes the requests that Slack sends when somebody presses a button."""

    def __init__(self, database: Database, settings: Settings, points: PointStore) -> None:
        """Act on this database, and call Slack with these settings."""
        self._database = database
        self._settings = settings
        self._points = points
        self._outbound = Outbound(settings.egress_allow, limits=LIMITS)

    def take(self, body: bytes, timestamp: str, signature: str) -> str:
        """Do what was asked for, tell Slack, and return the sentence that it was told.

        Raises `Unauthenticated` for a forged or old request, and `Denied` for one of another
        workspace or channel. Where the person may not do it, that is said to the person alone.
        """
        press = press_of(body)
        value = None if press is None else read_button(press.value)
        if press is None or value is None:
            raise Invalid("This is no pressed button of a message of ours.")
        point, values = self._contact_point(value)
        secret = values.get("signing_secret", "")
        if not secret or not is_signed(secret, timestamp, body, signature, now_timestamp()):
            raise Unauthenticated(SIGNATURE_WRONG, code="bad_signature")
        key = self._settings.key_for(BUTTON_KEY_PURPOSE)
        if not is_genuine(key, point, press.action, value) or press.action not in set(Action):
            raise Denied("This button was not made by this server.", code="bad_button")
        try:
            self._check_origin(press, values)
            email = self._email_of(point, press, values)
        except UpstreamFailed as failure:
            return self._tell(press, f"Slack could not be asked who you are: {failure.message}")
        return self._carried_out(press, point.org_id, value.subject, email)

    def _contact_point(self, value: ButtonValue) -> tuple[ContactPoint, Mapping[str, str]]:
        with self._database.unit_of_work(write=False):
            point = find_for_callback(value.contact_point_id, KIND)
            if point is None:
                raise Unauthenticated(SIGNATURE_WRONG, code="bad_signature")
            try:
                return point, settings_of(point, self._settings.key_for(PURPOSE))
            except SealBroken:
                raise Unauthenticated(SIGNATURE_WRONG, code="bad_signature") from None

    def _check_origin(self, press: SlackPress, values: Mapping[str, str]) -> None:
        team_id = self._team_of(values)
        if not team_id or press.team_id != team_id or press.member_team_id != team_id:
            raise Denied(
                "The request comes from another workspace than the contact point's.",
                code="other_workspace",
            )
        channel = values.get("channel", "").removeprefix("#")
        names = {press.channel_id, press.channel_name}
        if channel and channel not in names and press.channel_name not in _UNNAMED:
            raise Denied(
                "The request comes from another channel than the contact point's.",
                code="other_channel",
            )

    def _team_of(self, values: Mapping[str, str]) -> str:
        if values.get("token"):
            return self._workspace(values).team_id()
        found = _TEAM_IN_WEBHOOK.match(urlsplit(values.get("webhook_url", "")).path)
        return found[1] if found else ""

    def _email_of(self, point: ContactPoint, press: SlackPress, values: Mapping[str, str]) -> str:
        """Return the e-mail address of the user of the org who pressed it; empty for nobody."""
        with self._database.unit_of_work(write=False):
            linked = (
                session()
                .scalars(
                    select(User.email).where(
                        User.org_id == point.org_id, User.slack_member_id == press.member_id
                    )
                )
                .all()
            )
        if len(linked) == 1:
            return linked[0]
        if not values.get("token") or not press.member_id:
            return ""
        member = self._workspace(values).member(press.member_id)
        return member.email if member.team_id in {"", press.team_id} else ""

    def _workspace(self, values: Mapping[str, str]) -> SlackWorkspace:
        api = self._settings.channel_api("slack")
        return SlackWorkspace(self._outbound, values["token"], api=api)

    def _carried_out(self, press: SlackPress, org_id: int, subject: str, email: str) -> str:
        try:
            with self._database.unit_of_work():
                said = act(
                    allowed_user(org_id, email),
                    Action(press.action),
                    subject,
                    self._points,
                    self._settings.base_url,
                )
        except AnomifyError as error:
            return self._tell(press, error.message)
        return self._tell(press, said, is_public=True)

    def _tell(self, press: SlackPress, sentence: str, *, is_public: bool = False) -> str:
        """Answer in Slack: to the person alone, or below the message where everybody may see it."""
        answer: dict[str, object] = {
            "text": _escaped(sentence),
            "response_type": "in_channel" if is_public else "ephemeral",
            "replace_original": False,
        }
        if press.thread:
            answer["thread_ts"] = press.thread
        headers = {"Content-Type": "application/json"}
        try:
            self._outbound.post(press.response_url, msgspec.json.encode(answer), headers)
        except UpstreamFailed:
            # It is done all the same; only the answer is missing in Slack.
            return sentence
        return sentence


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
