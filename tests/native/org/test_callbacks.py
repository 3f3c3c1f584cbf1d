"""/org/slackcallback and /org/telegramcallback: who may press which button, and what it does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from anomify.channel.message import Action
from anomify.clock import now_timestamp
from anomify.config import Settings
from anomify.contact_point.model import ContactPoint
from anomify.db import Database, session
from anomify.native.org import slackcallback, telegramcallback
from anomify.org.sealing import PURPOSE
from anomify.silence.model import Silence
from anomify.triage.queries import states_of
from anomify.triage.status import Status
from anomify.user.model import User
from tests.factories import Cast, make_anomaly, make_cast, make_contact_point, make_metric
from tests.kit.presses import (
    SIGNING_SECRET,
    TELEGRAM_SECRET,
    slack_press,
    telegram_press,
    value_for,
)
from tests.kit.slack_server import TOKEN, Slack, slack
from tests.kit.web import error, make_app, strict

ACK, MUTE, EXPECTED = Action.ACKNOWLEDGE, Action.MUTE, Action.EXPECTED


@dataclass
class Chat:
    """An app, a Slack, and an anomaly of Acme that was reported to both chats."""

    app: Flask
    database: Database
    cast: Cast
    slack: Slack
    slack_point: ContactPoint
    telegram_point: ContactPoint
    anomaly_id: int

    @property
    def settings(self) -> Settings:
        found: Settings = self.app.extensions["anomify"].settings
        return found

    def value(self, action: Action, point: ContactPoint | None = None) -> str:
        return value_for(self.settings, point or self.slack_point, action, self.anomaly_id)

    def press(self, action: Action, **more: Any) -> Any:
        value = more.pop("value", None) or self.value(action)
        url = f"{self.slack.url}/actions/1"
        sent = slack_press(value, action, response_url=url, **more)
        return self.app.test_client().post("/org/slackcallback", **sent)

    def tap(self, action: Action, **more: Any) -> Any:
        value = more.pop("value", None) or self.value(action, self.telegram_point)
        sent = telegram_press(value, action, **more)
        return self.app.test_client().post("/org/telegramcallback", **sent)

    def status(self) -> Status:
        with self.database.unit_of_work(write=False):
            return states_of([self.anomaly_id])[self.anomaly_id].status

    def silences(self) -> int:
        with self.database.unit_of_work(write=False):
            return len(session().scalars(select(Silence)).all())

    def link(self, name: str, **ids: str) -> None:
        with self.database.unit_of_work():
            user = session().get_one(User, getattr(self.cast, name).id)
            for field, value in ids.items():
                setattr(user, field, value)


@pytest.fixture
def chat(database: Database, tmp_path: Path) -> Iterator[Chat]:
    with slack() as served:
        app = make_app(
            database,
            tmp_path,
            [slackcallback.blueprint, telegramcallback.blueprint],
            egress_allow=("127.0.0.0/8",),
            channel_apis=(f"slack={served.api}", f"telegram={served.url}"),
        )
        key = app.extensions["anomify"].settings.key_for(PURPOSE)
        with database.unit_of_work():
            cast = make_cast()
            anomaly = make_anomaly(make_metric(cast.acme, "shop.orders"))
            values = {"token": TOKEN, "channel": "#alerts", "signing_secret": SIGNING_SECRET}
            in_slack = make_contact_point(cast.acme, "slack", key, values=values)
            values = {"token": "1:x", "chat_id": "-100123", "secret_token": TELEGRAM_SECRET}
            in_telegram = make_contact_point(cast.acme, "telegram", key, values=values)
        served.members = {"U1": cast.bob.email, "U2": cast.dave.email, "U3": cast.charlie.email}
        yield Chat(app, database, cast, served, in_slack, in_telegram, anomaly.id)
    app.extensions["anomify"].points.close()


class TestSlack:
    def test_an_editor_is_known_by_the_address_at_slack(self, chat: Chat) -> None:
        reply = chat.press(ACK)

        assert strict(reply)["data"]["message"] == "Bob acknowledged shop.orders."
        assert chat.status() is Status.ACKNOWLEDGED
        (said,) = chat.slack.answers
        assert (said["response_type"], said["replace_original"]) == ("in_channel", False)
        assert said["text"] == "Bob acknowledged shop.orders."

    def test_an_editor_is_known_by_the_member_id_in_the_profile(self, chat: Chat) -> None:
        chat.link("bob", slack_member_id="U9")
        assert chat.press(ACK, member="U9").status_code == 200
        assert chat.status() is Status.ACKNOWLEDGED

    @pytest.mark.parametrize(
        ("member", "reason"), [("U2", "role"), ("U3", "not known"), ("U8", "not known")]
    )
    def test_others_are_told_alone_why_not(self, chat: Chat, member: str, reason: str) -> None:
        reply = chat.press(ACK, member=member)

        assert reply.status_code == 200
        (said,) = chat.slack.answers
        assert said["response_type"] == "ephemeral"
        assert reason in said["text"]
        assert chat.status() is Status.ACTIVE

    def test_forged_and_expired_requests_are_refused(self, chat: Chat) -> None:
        at = now_timestamp()
        for more in ({"secret": "another"}, {"at": at - 301}, {"at": at + 301}):
            reply = chat.press(ACK, **more)
            assert (reply.status_code, error(reply)["code"]) == (401, "bad_signature")
        assert chat.press(ACK, at=at - 290).status_code == 200

    def test_foreign_workspaces_and_channels_are_refused(self, chat: Chat) -> None:
        for more, code in (
            ({"team": "T999"}, "other_workspace"),
            ({"channel": ("C9", "random")}, "other_channel"),
        ):
            reply = chat.press(ACK, **more)
            assert (reply.status_code, error(reply)["code"]) == (403, code)
        assert chat.status() is Status.ACTIVE

    def test_a_button_is_of_one_action_contact_point_and_org(self, chat: Chat) -> None:
        with chat.database.unit_of_work():
            key = chat.settings.key_for(PURPOSE)
            values = {"token": TOKEN, "channel": "#alerts", "signing_secret": SIGNING_SECRET}
            theirs = make_contact_point(chat.cast.globex, "slack", key, values=values)
        point_id, subject, signature = chat.value(MUTE).split(".")
        for value in (
            chat.value(MUTE),
            f"{theirs.id}.{subject}.{signature}",
            f"{point_id}.a{chat.anomaly_id + 1}.{chat.value(ACK).split('.')[2]}",
        ):
            reply = chat.press(ACK, value=value)
            assert (reply.status_code, error(reply)["code"]) == (403, "bad_button")
        # Made for Globex by this server, it names an anomaly that Globex does not have.
        value = value_for(chat.settings, theirs, ACK, chat.anomaly_id)
        chat.press(ACK, value=value, member="U3")
        assert "no such anomaly" in chat.slack.answers[-1]["text"]
        assert chat.status() is Status.ACTIVE

    @pytest.mark.parametrize("body", [b"", b"payload=", b"payload={}", b"payload=[1]", b"\xff=1"])
    def test_other_bodies_are_refused(self, chat: Chat, body: bytes) -> None:
        reply = chat.app.test_client().post("/org/slackcallback", data=body)
        assert reply.status_code == 400

    def test_mutes_the_metric_for_an_hour_once(self, chat: Chat) -> None:
        for _ in range(2):
            assert chat.press(MUTE).status_code == 200

        assert chat.silences() == 1
        assert [said["response_type"] for said in chat.slack.answers] == ["in_channel"] * 2
        assert "muted already" in chat.slack.answers[-1]["text"]

    def test_says_why_nothing_can_be_learnt(self, chat: Chat) -> None:
        chat.press(EXPECTED)
        (said,) = chat.slack.answers
        assert said["response_type"] == "ephemeral"
        assert said["text"]


class TestTelegram:
    def test_an_editor_is_known_by_the_id_in_the_profile(self, chat: Chat) -> None:
        assert "not known" in strict(chat.tap(ACK))["data"]["message"]
        chat.link("bob", telegram_member_id="42")
        assert strict(chat.tap(ACK))["data"]["message"] == "Bob acknowledged shop.orders."
        assert chat.status() is Status.ACKNOWLEDGED

    def test_two_users_with_one_account_are_nobody(self, chat: Chat) -> None:
        for name in ("bob", "alice"):
            chat.link(name, telegram_member_id="42")
        assert "not known" in strict(chat.tap(ACK))["data"]["message"]

    def test_forged_updates_and_those_of_other_chats_are_refused(self, chat: Chat) -> None:
        for more, code in (
            ({"secret": "another"}, 401),
            ({"chat": -5}, 403),
            ({"value": chat.value(MUTE, chat.telegram_point)}, 403),
            ({"value": chat.value(ACK)}, 401),
        ):
            assert chat.tap(ACK, **more).status_code == code, more

    def test_other_updates_are_taken_without_effect(self, chat: Chat) -> None:
        reply = chat.app.test_client().post("/org/telegramcallback", json={"update_id": 1})
        assert (reply.status_code, strict(reply)["data"]["message"]) == (200, "")
