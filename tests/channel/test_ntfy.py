import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings

from anomify.channel.message import Receipt, Target
from anomify.channel.ntfy import KIND, NtfyChannel, publication_of
from anomify.outbound.http_client import Outbound
from tests.channel.messages import IMAGE, LINK, MESSAGES, hostile_messages
from tests.kit.receiver import Answer, Received, Receiver, receiving

TOKEN = "tk_abcdefghijklmnopqrstuvwxyz012"


@contextmanager
def ntfy(*answers: Answer) -> Iterator[Receiver]:
    """A server with one topic that is protected."""

    def respond(request: Received) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(403, 40301, "forbidden")
        # JSON is published to the root of the server, never to the topic.
        if request.path not in {"/", "/push/"}:
            return _error(404, 40401, "page not found")
        sent = json.loads(request.body)
        if not 1 <= sent["priority"] <= 5 or len(sent["message"].encode()) > 4096:
            return _error(400, 40007, "priority invalid")
        if len(sent.get("actions", ())) > 3:
            return _error(400, 40018, "actions invalid, too many actions")
        return Answer(200, body=json.dumps({"id": "xE73Iyuabi", "topic": sent["topic"]}).encode())

    with receiving(*answers, respond=respond) as receiver:
        yield receiver


def _error(status: int, code: int, error: str) -> Answer:
    return Answer(status, body=json.dumps({"code": code, "http": status, "error": error}).encode())


def sent(receiver: Receiver, path: str = "/alerts", token: str = TOKEN) -> Receipt:
    settings = {"url": f"http://127.0.0.1:{receiver.port}{path}", "token": token}
    channel = NtfyChannel(Outbound(["127.0.0.0/8"]))
    return channel.send(MESSAGES["opened"], Target("", settings=settings))


class TestSend:
    def test_publishes_the_numbers_picture_and_link(self) -> None:
        with ntfy() as receiver:
            receipt = sent(receiver)

        published = json.loads(receiver.received[0].body)
        assert receipt == Receipt(is_delivered=True, reference="xE73Iyuabi")
        assert published["topic"] == "alerts"
        for fact in ("1,007 ms", "80 to 120 ms", "Since: 2026-11-20 12:10:00 UTC", "Acme Shop"):
            assert fact in published["message"]
        assert (published["click"], published["attach"]) == (LINK, IMAGE)
        assert published["actions"] == [
            {"action": "view", "label": "View the incident", "url": LINK}
        ]

    def test_publishes_to_a_server_below_a_path(self) -> None:
        with ntfy() as receiver:
            assert sent(receiver, "/push/alerts/").is_delivered

        assert receiver.paths == ["/push/"]

    @pytest.mark.parametrize(
        ("name", "priority", "tags"),
        [
            ("opened", 5, ["rotating_light"]),
            ("no_data", 4, ["warning"]),
            ("recovered", 3, ["white_check_mark"]),
            ("report", 3, ["bar_chart"]),
        ],
    )
    def test_rings_as_loudly_as_it_is_severe(
        self, name: str, priority: int, tags: list[str]
    ) -> None:
        publication = publication_of(MESSAGES[name])
        assert (publication["priority"], publication["tags"]) == (priority, tags)

    def test_a_message_that_is_sent_twice_has_the_same_sequence(self) -> None:
        assert publication_of(MESSAGES["opened"])["sequence_id"] == MESSAGES["opened"].id

    def test_errors_say_what_to_do_and_are_tried_again(self) -> None:
        with ntfy() as receiver:
            refused = sent(receiver, token="tk_other")
            nowhere = sent(receiver, "/")

        assert (refused.is_permanent, refused.is_gone) == (False, False)
        assert "forbidden" in refused.problem
        assert "Check the token" in refused.problem
        assert "names no topic" in nowhere.problem
        assert not nowhere.is_permanent

    def test_waits_as_long_as_ntfy_asks(self) -> None:
        with ntfy(Answer(429, {"Retry-After": "9"})) as receiver:
            assert sent(receiver).retry_after_seconds == 9


class TestPublication:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_is_within_the_limits_and_not_read_as_markdown(self, message) -> None:
        publication = publication_of(message)

        assert "markdown" not in publication
        assert 0 < len(publication["message"].encode()) <= 4096 or not message.sentence.strip()
        assert len(publication["title"]) <= 200
        json.dumps(publication).encode()


class TestSettings:
    def test_the_url_has_to_end_in_a_topic(self) -> None:
        assert KIND.problems({"url": "https://ntfy.sh/acme-alerts"}) == {}
        for url in ("https://ntfy.sh", "https://ntfy.sh/", "https://ntfy.sh/a b", "ntfy.sh/x"):
            assert list(KIND.problems({"url": url})) == ["url"]
