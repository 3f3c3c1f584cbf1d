"""A mail server that keeps what it is given, with STARTTLS or without."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

if TYPE_CHECKING:
    from email.message import EmailMessage


class SmtpSink:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        # The same as they came.
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.was_encrypted: list[bool] = []
        # Given to the recipient instead of a yes, such as "550 no such person".
        self.recipient_answer: str | None = None
        self.data_answer: str | None = None
        self.port = 0

    async def handle_RCPT(  # noqa: N802 -- the library looks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        if self.recipient_answer is not None:
            return self.recipient_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 -- the library looks for this name
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.data_answer is not None:
            return self.data_answer
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.extend(envelope.rcpt_tos)
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # Asked for port 0, so that the system picks a free one: only now is it known which.
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call] # the library declares no types


@contextmanager
def smtp_sink(
    *, tls: ssl.SSLContext | None = None, account: tuple[str, str] | None = None
) -> Iterator[SmtpSink]:
    """Run a mail server on a free port."""
    sink = SmtpSink()

    def check(server: object, session: object, envelope: object, how: str, given: object) -> object:
        is_known = (
            isinstance(given, LoginPassword)
            and (given.login.decode(), given.password.decode()) == account
        )
        return AuthResult(success=is_known, handled=False)

    controller = _Controller(
        sink,
        hostname="127.0.0.1",
        port=0,
        tls_context=tls,
        require_starttls=tls is not None,
        auth_required=account is not None,
        auth_require_tls=tls is not None,
        authenticator=check if account else None,
    )
    controller.start()
    sink.port = controller.port
    try:
        yield sink
    finally:
        controller.stop()
