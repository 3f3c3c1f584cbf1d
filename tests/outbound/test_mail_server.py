"""Sending mail through local SMTP servers."""

import socket
from email.message import EmailMessage

import pytest

from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.deadline import CallLimits
from anomify.outbound.mail_server import MailServer
from tests.kit.certificates import Authority
from tests.kit.smtpsink import smtp_sink

SHORT = CallLimits(connect_seconds=1, read_seconds=2, total_seconds=0.3)


def mail() -> EmailMessage:
    written = EmailMessage()
    written["Subject"], written["From"], written["To"] = "Hello", "a@acme.example", "b@acme.example"
    written.set_content("Hello")
    return written


def mail_server(port: int, authority: Authority | None = None, **settings: object) -> MailServer:
    made = Settings.model_validate(
        {"smtp_host": "127.0.0.1", "smtp_port": port, "mail_from": "Us <us@acme.example>"}
        | settings
    )
    return MailServer(made, trust=authority.trust if authority else None)


class TestMailServer:
    def test_sends_without_encryption_when_starttls_is_off(self) -> None:
        with smtp_sink() as sink:
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert sink.recipients == ["b@acme.example"]
        assert sink.mails[0]["Subject"] == "Hello"
        assert sink.was_encrypted == [False]

    def test_encrypts_and_signs_in(self, authority: Authority) -> None:
        tls = authority.server_context("127.0.0.1")
        with smtp_sink(tls=tls, account=("us", "a good word")) as sink:
            mail_server(sink.port, authority, smtp_user="us", smtp_password="a good word").send(
                mail()
            )

        assert sink.was_encrypted == [True]

    def test_does_not_send_when_the_server_offers_no_encryption(self) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed, match="smtp_starttls") as failure:
            mail_server(sink.port).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("tls", False)
        assert sink.mails == []

    def test_refuses_a_certificate_of_an_unknown_authority(self, authority: Authority) -> None:
        with (
            smtp_sink(tls=authority.server_context("127.0.0.1")) as sink,
            pytest.raises(UpstreamFailed) as failure,
        ):
            mail_server(sink.port).send(mail())

        assert failure.value.kind == "tls"
        assert sink.mails == []

    def test_a_wrong_password_is_not_permanent(self, authority: Authority) -> None:
        tls = authority.server_context("127.0.0.1")
        with (
            smtp_sink(tls=tls, account=("us", "a good word")) as sink,
            pytest.raises(UpstreamFailed) as failure,
        ):
            mail_server(sink.port, authority, smtp_user="us", smtp_password="no").send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", False)

    @pytest.mark.parametrize(
        ("answer", "is_permanent"), [("550 nobody here", True), ("450 later", False)]
    )
    def test_a_refused_recipient_is_permanent_from_code_500(
        self, answer: str, is_permanent: bool
    ) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed) as failure:
            sink.recipient_answer = answer
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", is_permanent)

    @pytest.mark.parametrize(("answer", "is_permanent"), [("554 spam", True), ("452 full", False)])
    def test_refused_mail_data_is_permanent_from_code_500(
        self, answer: str, is_permanent: bool
    ) -> None:
        with smtp_sink() as sink, pytest.raises(UpstreamFailed) as failure:
            sink.data_answer = answer
            mail_server(sink.port, smtp_starttls=False).send(mail())

        assert (failure.value.kind, failure.value.permanent) == ("status", is_permanent)

    def test_raises_where_no_mail_server_is_set(self) -> None:
        with pytest.raises(UpstreamFailed, match="smtp_host"):
            MailServer(Settings()).send(mail())

    def test_times_out_when_the_server_sends_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings = Settings(smtp_host="127.0.0.1", smtp_port=silent.getsockname()[1])
            for limits in (CallLimits(1, 0.1, 5), SHORT):
                with pytest.raises(UpstreamFailed) as failure:
                    MailServer(settings, limits=limits).send(mail())
                assert failure.value.kind == "timeout"

    def test_a_closed_port_is_a_refused_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(UpstreamFailed) as failure:
            mail_server(port).send(mail())
        assert failure.value.kind == "refused"
