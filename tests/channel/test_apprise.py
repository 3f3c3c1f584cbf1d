import json

import pytest
from apprise import Apprise
from apprise.plugins.discord import NotifyDiscord

from anomify.channel.apprise import KIND, SCHEMAS, AppriseChannel, url_problem
from anomify.channel.kinds import make_channels
from anomify.channel.message import Receipt, Target
from anomify.config import Settings
from tests.channel.messages import HOSTILE, LINK, MESSAGES, hostile
from tests.kit.receiver import Answer, Receiver, receiving

# Of a library that one of Apprise's services uses.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

URL = "discord://" + "1" * 18 + "/" + "a" * 68


def sent(
    receiver: Receiver, patch: pytest.MonkeyPatch, message=MESSAGES["opened"], url: str = URL
) -> Receipt:
    # The address is fixed in the library; its own client and format are used.
    patch.setattr(NotifyDiscord, "notify_url", receiver.url)
    return AppriseChannel().send(message, Target("", settings={"url": url}))


class TestSend:
    def test_sends_the_facts_by_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with receiving(Answer(200)) as receiver:
            assert sent(receiver, monkeypatch) == Receipt(is_delivered=True)

        text = json.loads(receiver.received[0].body)["content"]
        for fact in ("1,007 ms", "80 to 120 ms", "2026-11-20 12:10:00 UTC", "Acme Shop", LINK):
            assert fact in text

    def test_a_refusal_is_tried_again_and_the_token_is_not_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with receiving(Answer(404)) as receiver:
            receipt = sent(receiver, monkeypatch)

        assert (receipt.is_delivered, receipt.is_permanent) == (False, False)
        assert "discord did not take" in receipt.problem
        assert "aaaa" not in receipt.problem

    def test_no_name_mentions_people_or_hides_an_address(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with receiving(respond=lambda _: Answer(200)) as receiver:
            for text in HOSTILE:
                assert sent(receiver, monkeypatch, hostile(text)).is_delivered

        for request in receiver.received:
            content = json.loads(request.body)["content"]
            assert len(content) <= 2000
            for part in ("@everyone", "@here", "<@U", "]("):
                assert part not in content


class TestUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "dbus://",
            "syslog://local",
            "exec://sh",
            "json://127.0.0.1/",
            "gotify://10.0.0.1/token",
            "mailto://user:password@gmail.com",
            "workflows://host/a/b/c?template=/etc/passwd",
            "DISCORD://1/2",
            "https://discord.com/api/webhooks/1/2",
            f"{URL}?verify=no",
            f"{URL}, json://127.0.0.1",
            f"{URL}\njson://127.0.0.1",
        ],
    )
    def test_only_a_listed_service_without_options_can_be_called(self, url: str) -> None:
        assert url_problem(url)
        receipt = AppriseChannel().send(MESSAGES["opened"], Target("", settings={"url": url}))
        assert not receipt.is_delivered

    def test_is_offered_only_where_the_operator_enables_it(self) -> None:
        assert "apprise" not in make_channels(Settings())
        assert "apprise" in make_channels(Settings(apprise_enabled=True))
        assert not KIND.is_available(Settings())
        assert KIND.problems({"url": URL}) == {}

    def test_messages_of_one_service_wait_for_each_other(self) -> None:
        assert KIND.lane_of({"url": URL}) == "@apprise.discord"

    def test_every_listed_service_has_a_fixed_address(self) -> None:
        details = {
            schema: each["details"]["templates"]
            for each in Apprise().details()["schemas"]
            for schema in each["secure_protocols"] or ()
        }
        for schema in SCHEMAS:
            assert details[schema]
            assert not [each for each in details[schema] if "{host" in each], schema
