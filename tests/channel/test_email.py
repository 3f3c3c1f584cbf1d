from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
import time_machine

from anomify.channel.email import EmailChannel
from anomify.channel.message import DELIVERED, PICTURE_CID, Message, Receipt, Target
from anomify.config import Settings
from anomify.outbound.mail_server import MailServer
from tests.kit.smtpsink import SmtpSink, smtp_sink

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def message(**changes: object) -> Message:
    return Message(
        **{
            "id": "2c5d9d70",
            "answers_id": None,
            "type": "anomaly.opened",
            "occurred_at": NOON,
            "subject": "Höhe is unusual",
            "text": "Höhe is unusual.\n.\nReally.\n",
            "html": f'<p>Höhe</p><img src="cid:{PICTURE_CID}" alt="">',
            "data": {},
            "picture": PNG,
            **changes,
        }
    )


def sent(sink: SmtpSink, written: Message, target: Target, **settings: object) -> Receipt:
    made = Settings.model_validate(
        {
            "smtp_host": "127.0.0.1",
            "smtp_port": sink.port,
            "smtp_starttls": False,
            "mail_from": "anomify@acme.example",
            **settings,
        }
    )
    return EmailChannel(made, MailServer(made)).send(written, target)


def arrived(written: Message, target: Target, **settings: object) -> EmailMessage:
    with smtp_sink() as sink:
        assert sent(sink, written, target, **settings) == DELIVERED
    return sink.mails[0]


BOB = Target("bob@acme.example", "Bob Müller")


class TestSend:
    def test_arrives_as_text_and_html_with_the_picture_in_it(self) -> None:
        mail = arrived(message(), BOB)

        assert mail["Subject"] == "Höhe is unusual"
        assert mail["To"].addresses[0].display_name == "Bob Müller"
        assert mail["To"].addresses[0].addr_spec == "bob@acme.example"
        assert mail["From"].addresses[0].display_name == "Anomify"
        text, related = mail.iter_parts()
        html, picture = related.iter_parts()
        assert text.get_content().replace("\r\n", "\n") == message().text
        assert html.get_content().strip() == message().html
        assert (picture.get_content_type(), picture["Content-ID"]) == (
            "image/png",
            f"<{PICTURE_CID}>",
        )
        assert picture.get_content() == PNG

    def test_arrives_without_a_picture_where_there_is_none(self) -> None:
        mail = arrived(message(picture=None), BOB)

        assert [part.get_content_type() for part in mail.iter_parts()] == [
            "text/plain",
            "text/html",
        ]

    def test_has_the_same_message_id_each_time_and_a_recovery_replies_to_it(self) -> None:
        notice = arrived(message(), BOB)
        recovery = arrived(message(id="recovery", answers_id="2c5d9d70"), BOB)

        assert notice["Message-ID"] == "<2c5d9d70@acme.example>"
        assert notice["References"] is None
        assert recovery["References"] == recovery["In-Reply-To"] == notice["Message-ID"]

    def test_has_a_date_and_suppresses_automatic_replies(self) -> None:
        with time_machine.travel(NOON, tick=False):
            mail = arrived(message(), BOB)

        assert mail["Date"].datetime == NOON
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["List-Unsubscribe"] is None

    @pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00"])
    def test_no_name_can_add_a_header(self, break_: str) -> None:
        evil = f"x{break_}Bcc: everybody@globex.example"
        mail = arrived(
            message(subject=evil),
            Target("bob@acme.example", evil),
            mail_from="anomify@acme.example",
        )

        assert mail["Bcc"] is None
        assert mail["Subject"] == "x Bcc: everybody@globex.example"
        assert mail["To"].addresses[0].display_name == "x Bcc: everybody@globex.example"

    def test_can_be_unsubscribed_from_with_one_click(self) -> None:
        url = "https://anomify.example/unsubscribe?token=" + "a1b2c3d4" * 60
        with smtp_sink() as sink:
            sent(sink, message(unsubscribe_url=url), BOB)

        # As it is written, because mail programs decode nothing in this header.
        assert sink.mails[0]["List-Unsubscribe"] == f"<{url}>"
        assert f"<{url}>".encode() in sink.raw[0].replace(b"List-Unsubscribe: ", b"")
        assert sink.mails[0]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    @pytest.mark.parametrize(
        "url",
        ["", "https://a.example/\r\nBcc: x@y.example", "https://a/>, <mailto:x@y.example", "x"],
    )
    def test_an_address_that_cannot_stand_in_the_header_is_left_out(self, url: str) -> None:
        mail = arrived(message(unsubscribe_url=url), BOB)

        assert (mail["List-Unsubscribe"], mail["Bcc"]) == (None, None)

    def test_shortens_a_long_subject(self) -> None:
        assert len(arrived(message(subject="x" * 5000), BOB)["Subject"]) == 200

    def test_sends_from_the_configured_address(self) -> None:
        mail = arrived(message(), BOB, mail_from="Acme Alerts <alerts@mail.acme.example>")

        assert str(mail["From"]) == "Acme Alerts <alerts@mail.acme.example>"
        assert mail["Message-ID"].endswith("@mail.acme.example>")

    def test_encodes_an_international_domain(self) -> None:
        mail = arrived(
            message(), Target("ann@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example")
        )

        assert str(mail["To"]) == "ann@xn--bcher-kva.example"

    @pytest.mark.parametrize(
        "address",
        [
            "\N{LATIN SMALL LETTER U WITH DIAERESIS}@x.example",
            "nobody",
            "a b@c",
            "x@y>, <z@w",
            "x\r\n@y",
            "@",
            "",
        ],
    )
    def test_an_invalid_address_is_a_permanent_failure(self, address: str) -> None:
        with smtp_sink() as sink:
            receipt = sent(sink, message(), Target(address))

        assert (receipt.is_delivered, receipt.is_permanent) == (False, True)
        assert sink.mails == []

    def test_returns_why_the_server_refused_it(self) -> None:
        with smtp_sink() as sink:
            sink.recipient_answer = "550 nobody here"
            receipt = sent(sink, message(), BOB)

        assert (receipt.is_delivered, receipt.is_permanent) == (False, True)
        assert "550" in receipt.problem

    def test_an_invalid_sender_names_the_setting(self) -> None:
        # Settings refuse it; what was made around them is not sent either.
        made = Settings(smtp_host="127.0.0.1").model_copy(update={"mail_from": "alerts"})
        receipt = EmailChannel(made, MailServer(made)).send(message(), BOB)

        assert (receipt.is_delivered, receipt.is_permanent) == (False, False)
        assert "mail_from" in receipt.problem
