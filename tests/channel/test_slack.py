from dataclasses import replace

import pytest
from hypothesis import given, settings

from anomify.channel import slack_blocks
from anomify.channel.message import Receipt, Target
from anomify.channel.slack import KIND, SlackChannel
from anomify.outbound.http_client import Outbound
from tests.channel.messages import (
    HOSTILE,
    IMAGE,
    LINK,
    MESSAGES,
    PNG,
    hostile_messages,
    message_of,
)
from tests.kit.receiver import Answer, accepted_but_lost
from tests.kit.slack_server import (
    CHANNEL_ID,
    TOKEN,
    Slack,
    controls_of,
    problem_of,
    shown,
    slack,
)

SETTINGS = {"token": TOKEN, "channel": "#alerts", "signing_secret": "s3cret"}


def channel(served: Slack, pauses: list[float] | None = None) -> SlackChannel:
    paused = [] if pauses is None else pauses
    return SlackChannel(Outbound(["127.0.0.0/8"]), api=served.api, pause=paused.append)


def sent(served: Slack, message=MESSAGES["opened"], **changes: str) -> Receipt:
    return channel(served).send(message, Target("", settings={**SETTINGS, **changes}))


class TestBot:
    def test_posts_the_message_with_its_picture_in_it(self) -> None:
        with slack() as served:
            receipt = sent(served)

        (post,) = served.posts
        assert receipt == Receipt(is_delivered=True, reference="1795090320.000001")
        assert list(served.files.values()) == [PNG]
        (image,) = [block for block in post["blocks"] if block["type"] == "image"]
        assert image["slack_file"]["id"] in served.files
        assert post["metadata"]["event_payload"] == {"id": MESSAGES["opened"].id}
        assert "thread_ts" not in post
        text = shown(post)
        for fact in ("1,007 ms", "80 to 120 ms", "2026-11-20 12:10:00 UTC", "Acme Shop"):
            assert fact in text

    def test_has_a_button_for_each_action_with_its_value(self) -> None:
        with slack() as served:
            sent(served)

        (actions,) = [each for each in served.posts[0]["blocks"] if each["type"] == "actions"]
        assert [(each["action_id"], each["value"]) for each in actions["elements"]] == [
            ("expected", "i9.k3"),
            ("acknowledge", "i9.k3"),
            ("mute", "i9.k3"),
        ]

    def test_has_no_buttons_whose_presses_could_not_be_verified(self) -> None:
        with slack() as served:
            sent(served, signing_secret="")

        assert not [each for each in served.posts[0]["blocks"] if each["type"] == "actions"]

    def test_later_messages_are_replies_and_the_last_is_seen_in_the_channel(self) -> None:
        with slack() as served:
            first = sent(served)
            for name in ("reminder", "recovered"):
                sent(served, replace(MESSAGES[name], first_reference=first.reference))

        _, reminder, recovery = served.posts
        assert reminder["thread_ts"] == recovery["thread_ts"] == first.reference
        assert (reminder["reply_broadcast"], recovery["reply_broadcast"]) == (False, True)

    @pytest.mark.parametrize("error", ["thread_not_found", "cannot_reply_to_message"])
    def test_a_reply_without_its_thread_is_posted_in_the_channel(self, error: str) -> None:
        with slack() as served:
            served.fail("chat.postMessage", error)
            receipt = sent(served, replace(MESSAGES["recovered"], first_reference="1.2"))

        assert receipt.is_delivered
        assert "thread_ts" not in served.posts[0]

    def test_mentions_people_only_while_it_goes_on(self) -> None:
        with slack() as served:
            sent(served, mentions="U012AB3CD, W45EF67GH")
            sent(served, MESSAGES["recovered"], mentions="U012AB3CD")

        assert served.posts[0]["text"].startswith("<@U012AB3CD> <@W45EF67GH> checkout")
        assert "<@" not in str(served.posts[1])

    def test_waits_for_a_picture_that_slack_still_processes(self) -> None:
        pauses: list[float] = []
        with slack() as served:
            served.attempts_until_ready = 2
            channel(served, pauses).send(MESSAGES["opened"], Target("", settings=SETTINGS))

        assert pauses == [1.0, 2.0]
        assert "slack_file" in str(served.posts)

    def test_shares_a_picture_in_the_thread_that_is_not_ready_in_time(self) -> None:
        with slack() as served:
            served.attempts_until_ready = 3
            receipt = sent(served)

        assert receipt.is_delivered
        assert "slack_file" not in str(served.posts)
        (shared,) = served.shared
        assert (shared["channel_id"], shared["thread_ts"]) == (CHANNEL_ID, receipt.reference)

    @pytest.mark.parametrize("method", ["getUploadURLExternal", "completeUploadExternal"])
    def test_a_picture_that_cannot_be_uploaded_is_shown_by_its_address(self, method: str) -> None:
        with slack() as served:
            served.fail(f"files.{method}", "missing_scope")
            receipt = sent(served)

        assert receipt.is_delivered
        (image,) = [each for each in served.posts[0]["blocks"] if each["type"] == "image"]
        assert image["image_url"] == IMAGE

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("account_inactive", "install it again"),
            ("token_revoked", "new bot token"),
            ("channel_not_found", "check its name"),
            ("not_in_channel", "/invite"),
            ("missing_scope", "chat:write"),
            ("is_archived", "archived"),
            ("something_new", "something_new"),
        ],
    )
    def test_errors_say_what_to_do_and_are_tried_again(self, error: str, words: str) -> None:
        with slack() as served:
            served.fail("chat.postMessage", error)
            receipt = sent(served)

        assert (receipt.is_delivered, receipt.is_permanent, receipt.is_gone) == (False,) * 3
        assert words in receipt.problem
        assert error in receipt.problem

    def test_a_wrong_token_and_an_unknown_channel_are_named(self) -> None:
        with slack() as served:
            assert "token" in sent(served, token="xoxb-other").problem
            assert "no such channel" in sent(served, channel="#nowhere").problem

    def test_waits_as_long_as_slack_asks(self) -> None:
        with slack() as served:
            served.fail("chat.postMessage", "ratelimited", 429, **{"Retry-After": "30"})
            receipt = sent(served)

        assert receipt.retry_after_seconds == 30
        assert "message waits" in receipt.problem

    def test_an_answer_that_is_no_json_is_a_failure(self) -> None:
        bodies = (b"", b"<html>", b"[1]", b"\xff", b"[" * 60_000, b'{"ok": "yes"}')
        with slack() as served:
            served.next_errors["chat.postMessage"] = [Answer(200, body=body) for body in bodies]
            receipts = [sent(served) for _ in bodies]

        assert not any(receipt.is_delivered for receipt in receipts)

    def test_an_answer_that_is_lost_is_a_failure_and_the_next_attempt_has_the_same_id(self) -> None:
        with slack() as served:
            served.next_errors["chat.postMessage"] = [accepted_but_lost()]
            assert not sent(served).is_delivered
            assert sent(served).is_delivered

        assert served.posts[0]["metadata"]["event_payload"]["id"] == MESSAGES["opened"].id


class TestIncomingWebhook:
    def test_posts_the_message_with_the_address_of_its_picture(self) -> None:
        with slack() as served:
            receipt = sent(served, token="", webhook_url=served.webhook)

        assert receipt == Receipt(is_delivered=True)
        (image,) = [each for each in served.posts[0]["blocks"] if each["type"] == "image"]
        assert image["image_url"] == IMAGE

    @pytest.mark.parametrize(
        ("status", "error", "words", "is_gone"),
        [
            (404, "no_service", "create a new one", False),
            (403, "action_prohibited", "rules of the workspace", False),
            (410, "channel_is_archived", "archived", True),
            (500, "rollup_error", "tried again", False),
        ],
    )
    def test_errors_say_what_to_do(
        self, status: int, error: str, words: str, is_gone: bool
    ) -> None:
        with slack() as served:
            served.next_errors["webhook"] = [Answer(status, body=error.encode())]
            receipt = sent(served, token="", webhook_url=served.webhook)

        assert (receipt.is_delivered, receipt.is_gone) == (False, is_gone)
        assert words in receipt.problem


class TestBlocks:
    @settings(max_examples=60)
    @given(hostile_messages)
    def test_no_name_mentions_links_formats_or_exceeds_a_limit(self, message) -> None:
        payload = {
            "text": slack_blocks.fallback(message, ("U012AB3CD",)),
            "blocks": slack_blocks.blocks(
                message, (), image=slack_blocks.image_of_url(message), has_buttons=True
            ),
        }

        assert problem_of(payload, {}) == ""
        mentioned = controls_of(payload["text"])
        assert mentioned == (["@U012AB3CD"] if message.is_ongoing else [])
        for block in payload["blocks"]:
            texts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
            for text in filter(None, texts):
                if text["type"] == "mrkdwn":
                    # Only names of ours in bold letters, and the link.
                    links = controls_of(text["text"])
                    words = text["text"].strip("*")
                    assert links or words.replace(" ", "").isascii()
                    assert links == [] or links[0].startswith(LINK.replace("&", "&amp;") + "|")
                elif text["type"] == "plain_text":
                    assert controls_of(text["text"]) == []

    def test_an_entity_is_never_cut(self) -> None:
        for most in range(1, 40):
            for text in ("&" * 50, "a<b>&" * 9, *HOSTILE):
                written = slack_blocks.escaped(text, most)
                assert len(written) <= most
                assert controls_of(written) == []

    def test_shows_a_name_letter_by_letter(self) -> None:
        name = "*disk* _usage_ ~a~ `b` <!here> & &amp; :fire: $x^2$"
        written = slack_blocks.plain(name, 100)

        assert (written["type"], written["emoji"]) == ("plain_text", False)
        assert shown({"blocks": [{"type": "section", "text": written}]}) == name

    def test_says_how_many_lines_are_left_out(self) -> None:
        lines = tuple((f"m{number}", "x") for number in range(200))
        built = slack_blocks.blocks(message_of(lines=lines), (), image=None, has_buttons=False)

        assert "170 more lines" in str(built)


class TestSettings:
    def test_needs_a_token_and_a_channel_or_a_webhook(self) -> None:
        hook = "https://hooks.slack.com/services/T0/B0/x"
        assert KIND.problems({"token": TOKEN, "channel": "#alerts"}) == {}
        assert KIND.problems({"webhook_url": hook}) == {}
        assert list(KIND.problems({})) == ["token"]
        assert list(KIND.problems({"token": TOKEN})) == ["channel"]
        assert list(KIND.problems({"token": TOKEN, "webhook_url": hook})) == ["webhook_url"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("token", "hunter2"),
            ("token", "xoxb-a b"),
            ("channel", "#al erts"),
            ("channel", "<!channel>"),
            ("webhook_url", "ftp://hooks.slack.com"),
            ("mentions", "@ann"),
            ("mentions", "U012AB3CD;<!channel>"),
        ],
    )
    def test_refuses_a_value_that_cannot_be_right(self, name: str, value: str) -> None:
        good = {"webhook_url": "https://hooks.slack.com/services/T0/B0/x"}
        assert list(KIND.problems(good | {name: value})) == [name]

    def test_waits_with_the_messages_of_its_own_host(self) -> None:
        assert KIND.lane_of(SETTINGS) == "slack.com"
        assert KIND.lane_of({"webhook_url": "https://Hooks.slack.com/x"}) == "hooks.slack.com"
