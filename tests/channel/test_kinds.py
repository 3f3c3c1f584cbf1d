from dataclasses import replace

import pytest

from anomify.channel.kind import SETTING_MAX_CHARACTERS
from anomify.channel.kinds import EMAIL, KINDS, WEBHOOK, make_channels
from anomify.channel.message import Message, Target
from anomify.config import Settings
from anomify.errors import ConfigError
from anomify.outbound.deadline import CallLimits
from anomify.outbound.http_client import Outbound
from tests.channel.messages import HOSTILE, MESSAGES, hostile
from tests.kit.receiver import (
    Answer,
    Receiver,
    accepted_but_lost,
    receiving,
    redirect,
    reset,
    slow_body,
    slow_headers,
    too_many,
)

# Settings with which each kind sends to a receiver at `{url}`.
GOOD = {
    "slack": {"webhook_url": "{url}/services/T0/B0/x"},
    "teams": {"url": "{url}/workflows/1"},
    "webhook": {"url": "{url}/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "pagerduty": {"routing_key": "R0" * 16, "url": "{url}"},
    "alertmanager": {"url": "{url}"},
    "telegram": {"token": "123456789:AAF-abcdefghijklmnopqrstuvwxyz_0123", "chat_id": "42"},
    "ntfy": {"url": "{url}/acme"},
    "sms": {
        "account_sid": "AC1",
        "auth_token": "t",
        "from": "+15005550006",
        "to": "+15005550009",
        "url": "{url}",
    },
}
OK = Answer(200, body=b'{"ok": true, "id": "x", "sid": "x", "result": {"message_id": 1}}')


def sent(kind: str, receiver: Receiver, message: Message, *, seconds: float = 10):
    url = f"http://127.0.0.1:{receiver.port}"
    settings = Settings(egress_allow=("127.0.0.0/8",), channel_apis=(f"telegram={url}",))
    channel = KINDS[kind].make(settings)
    channel._outbound = Outbound(["127.0.0.0/8"], limits=CallLimits(total_seconds=seconds))
    values = {name: value.format(url=url) for name, value in GOOD[kind].items()}
    assert KINDS[kind].problems(values) == {}
    return channel.send(message, Target("", settings=values))


class TestEveryKindOverHttp:
    @pytest.mark.parametrize("kind", GOOD)
    def test_all_but_410_is_tried_again_and_says_what_to_do(self, kind: str) -> None:
        statuses = (302, 307, 400, 401, 403, 404, 408, 409, 413, 418, 422, 425, 429, 500, 503, 410)
        for status in statuses:
            with receiving(Answer(status, {"Location": "http://127.0.0.1:9/"})) as receiver:
                receipt = sent(kind, receiver, replace(MESSAGES["opened"], picture=None))
            assert not receipt.is_delivered
            assert receipt.is_permanent is receipt.is_gone is (status == 410), status
            assert receipt.problem.endswith(".") or receipt.problem.endswith(")")
            assert len(receipt.problem) < 1000
            assert len(receiver.received) == 1

    @pytest.mark.parametrize("kind", GOOD)
    def test_whatever_a_receiver_does_is_a_receipt(self, kind: str) -> None:
        answers = (
            reset(),
            accepted_but_lost(),
            slow_headers(),
            redirect("http://127.0.0.1:9/"),
            too_many(7),
            Answer(500, body=b"\xff\x00" * 1_000_000),
            Answer(400, body=b'{"error": {"message": 5}, "errors": 7, "message": [], "code": "x"}'),
            Answer(400, body=b"[" * 60_000),
            Answer(403, {"Retry-After": "\u00b2"}),
        )
        for answer in answers:
            with receiving(answer) as receiver:
                receipt = sent(
                    kind, receiver, replace(MESSAGES["opened"], picture=None), seconds=0.3
                )
            assert not receipt.is_delivered
            assert receipt.problem
            assert not receipt.is_permanent
        with receiving(too_many(7)) as receiver:
            receipt = sent(kind, receiver, replace(MESSAGES["opened"], picture=None))
        assert receipt.retry_after_seconds == 7

    @pytest.mark.parametrize("kind", GOOD)
    def test_a_slow_body_after_a_good_status_is_a_delivery_or_tried_again(self, kind: str) -> None:
        with receiving(slow_body()) as receiver:
            receipt = sent(kind, receiver, replace(MESSAGES["opened"], picture=None), seconds=0.3)

        assert receipt.is_delivered or not receipt.is_permanent

    @pytest.mark.parametrize("kind", GOOD)
    def test_no_text_breaks_the_request(self, kind: str) -> None:
        with receiving(respond=lambda _: OK) as receiver:
            for text in HOSTILE:
                message = replace(hostile(text), picture=None)
                assert sent(kind, receiver, message).is_delivered
        assert all(len(request.body) < 200_000 for request in receiver.received)
        assert not [
            value
            for request in receiver.received
            for value in request.headers.values()
            if "evil" in value
        ]


class TestKinds:
    def test_have_a_name_words_and_one_sentence(self) -> None:
        for name, kind in KINDS.items():
            assert kind.name == name
            assert kind.words
            assert kind.about.endswith(".")
            assert len({setting.name for setting in kind.settings}) == len(kind.settings)

    def test_secrets_are_marked(self) -> None:
        words = ("token", "secret", "password", "key")
        for kind in KINDS.values():
            for setting in kind.settings:
                if any(word in setting.name for word in words):
                    assert setting.is_secret, (kind.name, setting.name)

    def test_a_setting_that_is_missing_unknown_too_long_or_unseen_is_refused(self) -> None:
        webhook = KINDS[WEBHOOK]
        assert set(webhook.problems({})) == {"url", "secret"}
        assert set(KINDS[EMAIL].problems({"colour": "blue"})) == {"colour"}
        for url in ("https://a.example/" + "x" * SETTING_MAX_CHARACTERS, "https://a\r\nB: c"):
            assert "url" in webhook.problems({**GOOD[WEBHOOK], "url": url})

    @pytest.mark.parametrize(
        "url", ["ftp://a.example", "https://u:p@a.example", "https://a.example:22", "a", "https://"]
    )
    def test_a_url_that_can_never_be_called_is_refused(self, url: str) -> None:
        assert "url" in KINDS["teams"].problems({"url": url})

    def test_an_address_of_a_mail_is_checked(self) -> None:
        assert KINDS[EMAIL].problems({"address": "ops@acme.example"}) == {}
        assert "no dot" in KINDS[EMAIL].problems({"address": "ops@acme"})["address"]

    def test_messages_wait_for_those_of_the_same_host_only(self) -> None:
        lanes = {
            name: kind.lane_of(
                {
                    setting: value.format(url="https://a.example")
                    for setting, value in GOOD.get(name, {}).items()
                }
            )
            for name, kind in KINDS.items()
        }
        assert lanes["email"] == "@mail"
        assert all(lanes.values())

    def test_those_that_the_operator_has_to_enable_are_not_made(self) -> None:
        made = make_channels(Settings())
        assert set(made) == {name for name, kind in KINDS.items() if not kind.enabled_by}


class TestOtherAddressesOfApis:
    def test_are_read_from_the_settings(self) -> None:
        settings = Settings.model_validate(
            {"channel_apis": "slack=https://gw.example/slack, twilio=http://127.0.0.1:9"}
        )

        assert settings.channel_api("slack") == "https://gw.example/slack"
        assert settings.channel_api("twilio") == "http://127.0.0.1:9"
        assert settings.channel_api("telegram") is None

    @pytest.mark.parametrize("text", ["slack", "irc=https://a.example", "slack=ftp://a.example"])
    def test_others_are_refused(self, text: str) -> None:
        with pytest.raises((ConfigError, ValueError), match="telegram"):
            Settings.model_validate({"channel_apis": text})
