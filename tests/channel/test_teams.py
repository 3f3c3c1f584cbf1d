import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from anomify.channel.message import Receipt, Target
from anomify.channel.teams import MESSAGE_MAX_BYTES, TeamsChannel, body_of
from anomify.outbound.http_client import Outbound
from tests.channel.messages import IMAGE, LINK, MESSAGES, hostile, hostile_messages, message_of
from tests.kit.receiver import Answer, Receiver, receiving


def sent(receiver: Receiver, message=MESSAGES["opened"]) -> Receipt:
    target = Target("", settings={"url": receiver.url})
    return TeamsChannel(Outbound(["127.0.0.0/8"])).send(message, target)


def card_of(body: bytes) -> dict[str, Any]:
    """The card that the workflow posts: it takes the first attachment of a message."""
    message = json.loads(body)
    (attachment,) = message["attachments"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    return dict(card)


def runs(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All texts. Those of other elements would be read as Markdown."""
    for element in card["body"]:
        assert element["type"] in {"RichTextBlock", "Image"}
        yield from element.get("inlines", ())


def seen(card: dict[str, Any]) -> str:
    return "\n".join(run["text"] for run in runs(card))


class TestSend:
    def test_posts_a_card_with_the_numbers_picture_and_link(self) -> None:
        with receiving(Answer(202)) as receiver:
            receipt = sent(receiver)

        card = card_of(receiver.received[0].body)
        assert receipt == Receipt(is_delivered=True)
        for fact in ("1,007 ms", "80 to 120 ms", "2026-11-20 12:10:00 UTC", "Acme Shop"):
            assert fact in seen(card)
        assert [each["url"] for each in card["body"] if each["type"] == "Image"] == [IMAGE]
        assert card["actions"] == [
            {"type": "Action.OpenUrl", "title": "View the incident", "url": LINK}
        ]

    @pytest.mark.parametrize(
        ("name", "colour"),
        [("opened", "Attention"), ("no_data", "Warning"), ("recovered", "Good"),
         ("test", "Default"), ("report", "Default")],
    )  # fmt: skip
    def test_has_a_colour_for_its_state(self, name: str, colour: str) -> None:
        assert next(runs(card_of(body_of(MESSAGES[name]))))["color"] == colour

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_says_what_to_do_when_the_workflow_is_gone(self, status: int) -> None:
        with receiving(Answer(status, body=b'{"error":{"message":"Disabled"}}')) as receiver:
            receipt = sent(receiver)

        assert (receipt.is_delivered, receipt.is_permanent, receipt.is_gone) == (False,) * 3
        assert "(Disabled)" in receipt.problem
        assert "copy its URL again" in receipt.problem

    def test_waits_as_long_as_teams_asks(self) -> None:
        with receiving(Answer(429, {"Retry-After": "17"})) as receiver:
            assert sent(receiver).retry_after_seconds == 17


class TestCard:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_no_text_is_read_as_markdown_or_exceeds_the_limit(self, message) -> None:
        body = body_of(message)
        card = card_of(body)

        assert len(body) <= MESSAGE_MAX_BYTES
        for run in runs(card):
            assert run["type"] == "TextRun"
            assert run["text"]
            assert "{{" not in run["text"]
        assert "entities" not in card["msteams"]

    def test_shows_a_name_letter_by_letter(self) -> None:
        name = "**disk** [x](https://evil.example) <at>Ann</at> & # $x^2$"
        assert name in seen(card_of(body_of(message_of(headline=name))))

    def test_says_how_many_lines_are_left_out(self) -> None:
        card = card_of(body_of(hostile("\U0001f525" * 3000)))
        assert "more lines." in seen(card)
