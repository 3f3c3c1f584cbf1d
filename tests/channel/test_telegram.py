from dataclasses import replace

import pytest
from hypothesis import given, settings

from anomify.channel.message import Action, Button, Receipt, Target
from anomify.channel.telegram import KIND, TelegramChannel, text_in_html
from anomify.outbound.http_client import Outbound
from tests.channel.messages import LINK, MESSAGES, PNG, hostile_messages, message_of
from tests.kit.telegram_server import CHAT, TOKEN, Telegram, read, telegram

SETTINGS = {"token": TOKEN, "chat_id": CHAT, "secret_token": "s3cret"}


def sent(served: Telegram, message=MESSAGES["opened"], **changes: str) -> Receipt:
    channel = TelegramChannel(Outbound(["127.0.0.0/8"]), api=served.api)
    return channel.send(message, Target("", settings={**SETTINGS, **changes}))


class TestSend:
    def test_sends_the_picture_with_the_facts_below_it(self) -> None:
        with telegram() as served:
            receipt = sent(served)

        (message,) = served.messages
        assert receipt == Receipt(is_delivered=True, reference="101")
        assert (message["method"], message["photo"]) == ("sendPhoto", PNG)
        for fact in ("1,007 ms", "80 to 120 ms", "Since: 2026-11-20 12:10:00 UTC", "Acme Shop"):
            assert fact in message["seen"]

    def test_sends_text_where_there_is_no_picture(self) -> None:
        with telegram() as served:
            sent(served, replace(MESSAGES["opened"], picture=None))

        assert served.messages[0]["method"] == "sendMessage"
        assert served.messages[0]["link_preview_options"] == {"is_disabled": True}

    def test_sends_text_where_the_picture_is_refused(self) -> None:
        with telegram() as served:
            receipt = sent(served, replace(MESSAGES["opened"], picture=b"no picture"))

        assert receipt.is_delivered
        assert served.messages[0]["method"] == "sendMessage"

    @pytest.mark.parametrize("picture", [PNG, None])
    def test_later_messages_reply_to_the_first(self, picture: bytes | None) -> None:
        with telegram() as served:
            sent(served, replace(MESSAGES["recovered"], first_reference="101", picture=picture))

        assert served.messages[0]["reply_parameters"] == {
            "message_id": 101,
            "allow_sending_without_reply": True,
        }

    def test_has_buttons_with_what_they_do_and_a_link(self) -> None:
        with telegram() as served:
            sent(served)

        buttons, link = served.messages[0]["reply_markup"]["inline_keyboard"]
        assert [each["callback_data"] for each in buttons] == [
            "expected:i9.k3",
            "acknowledge:i9.k3",
            "mute:i9.k3",
        ]
        assert link == [{"text": "View the incident", "url": LINK}]

    def test_leaves_out_buttons_that_cannot_be_answered_or_are_too_long(self) -> None:
        long = message_of(buttons=(Button(Action.MUTE, "Mute", "v" * 60),))
        with telegram() as served:
            sent(served, secret_token="")
            sent(served, long)

        for message in served.messages:
            assert len(message["reply_markup"]["inline_keyboard"]) == 1

    @pytest.mark.parametrize(
        ("code", "description", "words"),
        [
            (403, "Forbidden: bot was kicked from the supergroup chat", "Add the bot"),
            (403, "Forbidden: bot was blocked by the user", "Unblock"),
            (401, "Unauthorized", "BotFather"),
            (400, "Bad Request: chat not found", "Check the chat's id"),
            (404, "Not Found", "BotFather"),
            (502, "Bad Gateway", "tried again"),
        ],
    )
    def test_errors_say_what_to_do_and_are_tried_again(
        self, code: int, description: str, words: str
    ) -> None:
        with telegram() as served:
            served.fail(code, description)
            receipt = sent(served)

        assert (receipt.is_delivered, receipt.is_permanent, receipt.is_gone) == (False,) * 3
        assert words in receipt.problem

    def test_waits_as_long_as_telegram_asks(self) -> None:
        with telegram() as served:
            served.fail(429, "Too Many Requests: retry after 14", retry_after=14)
            assert sent(served).retry_after_seconds == 14

    def test_names_the_new_id_of_a_group_that_has_moved(self) -> None:
        with telegram() as served:
            served.fail(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-100777)
            assert "-100777" in sent(served).problem

    def test_no_token_and_no_chat_lead_elsewhere(self) -> None:
        with telegram() as served:
            assert "BotFather" in sent(served, token="1:x/../../evil?a=b#").problem
            assert "chat's id" in sent(served, chat_id="1").problem
            assert served.wire is not None
            assert served.wire.received[0].path.startswith("/bot1:x%2F..%2F..%2Fevil%3Fa%3Db%23/")


class TestTextInHtml:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_no_name_makes_a_tag_or_exceeds_the_limit(self, message) -> None:
        for most in (1024, 4096):
            found = read(text_in_html(message, most))

            assert set(found.tags) <= {"b", "i"}
            assert len(found.text.encode("utf-16-le")) // 2 <= most

    def test_shows_a_name_letter_by_letter(self) -> None:
        name = "<b>disk</b> &lt; & *a* _b_ [x](y) $x^2$"
        assert name in read(text_in_html(message_of(headline=name), 1024)).text

    def test_says_how_many_lines_are_left_out(self) -> None:
        lines = tuple((f"metric {number}", "x" * 50) for number in range(100))
        assert "more lines" in text_in_html(message_of(lines=lines), 1024)


class TestSettings:
    def test_accepts_what_telegram_gives(self) -> None:
        for chat in ("-1001234567890", "42", "@acme_alerts"):
            assert KIND.problems({"token": TOKEN, "chat_id": chat}) == {}

    def test_refuses_a_value_that_cannot_be_right(self) -> None:
        assert set(KIND.problems({"token": "x", "chat_id": "Acme Alerts"})) == {"token", "chat_id"}
