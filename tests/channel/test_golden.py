"""What arrives at each kind of receiver for each kind of message, in files that people read.

`WRITE_GOLDEN=1 pytest tests/channel/test_golden.py` writes them anew; read the difference.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import time_machine

from anomify.channel.alertmanager import AlertmanagerChannel
from anomify.channel.email import EmailChannel
from anomify.channel.kinds import KINDS
from anomify.channel.message import Message, Target
from anomify.channel.ntfy import NtfyChannel
from anomify.channel.pagerduty import PagerDutyChannel
from anomify.channel.slack import SlackChannel
from anomify.channel.sms import SmsChannel
from anomify.channel.teams import TeamsChannel
from anomify.channel.telegram import TelegramChannel
from anomify.channel.webhook import WebhookChannel
from anomify.config import Settings
from anomify.outbound.http_client import Outbound
from anomify.outbound.mail_server import MailServer
from tests.channel.messages import IMAGE, LINK, MESSAGES
from tests.kit.receiver import Answer, receiving
from tests.kit.slack_server import TOKEN as SLACK_TOKEN
from tests.kit.slack_server import slack
from tests.kit.smtpsink import smtp_sink
from tests.kit.telegram_server import CHAT, telegram
from tests.kit.telegram_server import TOKEN as TELEGRAM_TOKEN

GOLDEN = Path(__file__).parent / "golden"
WRITES = bool(os.environ.get("WRITE_GOLDEN"))
AT = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OUTBOUND = Outbound(["127.0.0.0/8"])
PHONE = {"account_sid": "AC1", "auth_token": "t", "from": "+15005550006", "to": "+15005550009"}


def of_email(message: Message) -> str:
    with smtp_sink() as sink:
        made = Settings(
            smtp_host="127.0.0.1",
            smtp_port=sink.port,
            smtp_starttls=False,
            mail_from="anomify@acme.example",
        )
        EmailChannel(made, MailServer(made)).send(message, Target("ann@acme.example", "Ann Miller"))
    (mail,) = sink.mails
    headers = [f"{name}: {value}" for name, value in mail.items() if name not in UNSTABLE]
    return "\n".join([*headers, "", *parts_of(mail)])


UNSTABLE = {"Content-Type", "MIME-Version", "X-Peer", "X-MailFrom", "X-RcptTo"}


def parts_of(mail: EmailMessage) -> list[str]:
    found = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        content = part.get_content()
        shown = content.strip() if isinstance(content, str) else f"{len(content):,} bytes"
        found.append(f"--- {part.get_content_type()} ---\n{shown}\n")
    return found


def of_slack(message: Message) -> str:
    settings = {"token": SLACK_TOKEN, "channel": "#alerts", "signing_secret": "s",
                "mentions": "U012AB3CD"}  # fmt: skip
    with slack() as served:
        channel = SlackChannel(OUTBOUND, api=served.api, pause=lambda _: None)
        channel.send(message, Target("", settings=settings))
    return pretty(served.posts[0])


def of_telegram(message: Message) -> str:
    settings = {"token": TELEGRAM_TOKEN, "chat_id": CHAT, "secret_token": "s"}
    with telegram() as served:
        channel = TelegramChannel(OUTBOUND, api=served.api)
        channel.send(message, Target("", settings=settings))
    (sent,) = served.messages
    return pretty({**sent, "photo": f"{len(sent['photo']):,} bytes", "seen": None})


def of_http(
    make: Callable[[str], Any], settings: Mapping[str, str], *, is_form: bool = False
) -> Callable[[Message], str]:
    """What a channel posts to a receiver at the address that `make` and the settings get."""

    def posted(message: Message) -> str:
        with receiving(respond=lambda _: Answer(200, body=b"{}")) as receiver:
            address = f"http://127.0.0.1:{receiver.port}"
            filled = {name: value.format(url=address) for name, value in settings.items()}
            make(address).send(message, Target("", settings=filled))
        bodies = [request.body.decode() for request in receiver.received]
        if is_form:
            return "\n".join(parse_qs(body)["Body"][0] for body in bodies)
        paths = receiver.paths
        return "\n".join(
            f"POST {path}\n{pretty(json.loads(body))}"
            for path, body in zip(paths, bodies, strict=True)
        )

    return posted


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


SENDERS: Mapping[str, Callable[[Message], str]] = {
    "email": of_email,
    "slack": of_slack,
    "telegram": of_telegram,
    "teams": of_http(lambda _: TeamsChannel(OUTBOUND), {"url": "{url}"}),
    "webhook": of_http(lambda _: WebhookChannel(OUTBOUND), {"url": "{url}", "secret": SECRET}),
    "pagerduty": of_http(
        lambda url: PagerDutyChannel(OUTBOUND, api=url), {"routing_key": "R0" * 16}
    ),
    "alertmanager": of_http(lambda _: AlertmanagerChannel(OUTBOUND), {"url": "{url}"}),
    "ntfy": of_http(lambda _: NtfyChannel(OUTBOUND), {"url": "{url}/acme-alerts"}),
    "sms": of_http(lambda url: SmsChannel(OUTBOUND, api=url), PHONE, is_form=True),
}


def arrived(kind: str, message: Message) -> str:
    with time_machine.travel(AT, tick=False):
        return SENDERS[kind](message).rstrip() + "\n"


class TestGolden:
    @pytest.mark.parametrize("kind", SENDERS)
    def test_what_arrives_is_what_people_have_read(self, kind: str) -> None:
        for name, message in MESSAGES.items():
            if name == "report" and not KINDS[kind].takes_reports:
                continue
            first = "" if message.answers_id is None else FIRST_REFERENCES.get(kind, "")
            seen = arrived(kind, replace(message, first_reference=first))
            path = GOLDEN / kind / f"{name}.txt"
            if WRITES:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(seen)
            assert seen == path.read_text(), path

    def test_every_kind_has_its_messages(self) -> None:
        assert {path.name for path in GOLDEN.iterdir()} == set(SENDERS)
        assert set(SENDERS) == {name for name, kind in KINDS.items() if not kind.enabled_by}

    @pytest.mark.parametrize("kind", SENDERS)
    def test_the_first_message_is_understood_without_opening_the_product(self, kind: str) -> None:
        seen = arrived(kind, MESSAGES["opened"])

        wanted = ["checkout.latency.p95", "1,007 ms", "80 to 120 ms", "12:10"]
        if kind in {"email", "webhook"}:
            # Their texts come from outside the channel; here it is that of the message.
            wanted = wanted[:3] if kind == "email" else ["incident.opened", IMAGE]
        elif kind == "sms":
            wanted += ["Acme Shop", LINK]
        else:
            wanted += ["Peak", "Acme Shop", "Checkout", LINK]
            wanted += ["bytes"] if kind == "telegram" else []
            wanted += ["slack_file"] if kind == "slack" else []
            # Only pictures at an https address are shown; this one is.
            wanted += [IMAGE] if kind in {"teams", "pagerduty", "alertmanager", "ntfy"} else []
        plain = seen.replace("&amp;", "&")
        assert [each for each in wanted if each not in plain] == []


# What the first message of the conversation got as its reference.
FIRST_REFERENCES = {"slack": "1795090320.000001", "telegram": "101"}
