"""Outgoing SMTP: sends a mail through the mail server that the settings name."""

import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import parseaddr
from functools import cached_property
from typing import Any

from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound.deadline import CallLimits, Deadline
from anomify.outbound.failures import upstream_failures
from anomify.outbound.recording import Exchange, note_exchange

# A mail with a picture takes several commands and replies, but has to end before its lease does.
MAIL_LIMITS = CallLimits(connect_seconds=5, read_seconds=10, total_seconds=30)
SMTP_IMPLICIT_TLS_PORT = 465
SMTP_PERMANENT_CODES_FROM = 500


class MailServer:
    """The mail server that the operator has set; its address may be private."""

    def __init__(
        self,
        settings: Settings,
        *,
        limits: CallLimits = MAIL_LIMITS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Take the server, the account and whether to encrypt from the settings."""
        self._settings = settings
        self._limits = limits
        self._given_trust = trust

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return self._given_trust or ssl.create_default_context()

    def send(self, message: EmailMessage) -> None:
        """Send one mail. Raises UpstreamFailed unless the server accepted it."""
        host = self._settings.smtp_host
        if not host:
            raise UpstreamFailed(
                "No mail server is set; set smtp_host to have mails sent.", kind="refused"
            )
        exchange = note_exchange(Exchange("SMTP", host, "message/rfc822", message.as_bytes()))
        deadline = Deadline(self._limits.total_seconds)
        with deadline, upstream_failures(host, deadline):
            smtp = self._connected(host, deadline)
            try:
                self._send(smtp, host, message)
                exchange.answer = b"The mail server took the mail."
            finally:
                smtp.close()

    def _connected(self, host: str, deadline: Deadline) -> smtplib.SMTP:
        port, seconds = self._settings.smtp_port, self._limits.read_seconds
        if port == SMTP_IMPLICIT_TLS_PORT:
            return _WatchedSmtpOverTls(host, port, seconds, deadline, self._trust)
        return _WatchedSmtp(host, port, seconds, deadline)

    def _send(self, smtp: smtplib.SMTP, host: str, message: EmailMessage) -> None:
        settings = self._settings
        try:
            if settings.smtp_starttls and settings.smtp_port != SMTP_IMPLICIT_TLS_PORT:
                smtp.starttls(context=self._trust)
            if settings.smtp_user and settings.smtp_password:
                smtp.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            smtp.send_message(message, from_addr=parseaddr(settings.mail_from)[1])
        except smtplib.SMTPNotSupportedError:
            raise UpstreamFailed(
                f"{host} offers no encryption, or no log-in; compare smtp_starttls, smtp_user and "
                "smtp_port with what it supports.",
                kind="tls",
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise UpstreamFailed(
                f"{host} does not take mail for this recipient (code {codes[0]}).",
                kind="status",
                permanent=all(code >= SMTP_PERMANENT_CODES_FROM for code in codes),
            ) from None
        except smtplib.SMTPDataError as error:
            raise UpstreamFailed(
                f"{host} did not take the mail (code {error.smtp_code}).",
                kind="status",
                permanent=error.smtp_code >= SMTP_PERMANENT_CODES_FROM,
            ) from None
        except smtplib.SMTPResponseException as error:
            # The sender or the account was refused; the operator can correct that: it is retried.
            raise UpstreamFailed(
                f"{host} refused the SMTP session (code {error.smtp_code}).", kind="status"
            ) from None
        with suppress(smtplib.SMTPException, OSError):
            # The mail is accepted; a failure to close the session changes nothing.
            smtp.quit()


class _WatchedSmtp(smtplib.SMTP):
    def __init__(self, host: str, port: int, seconds: float, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(host, port, timeout=seconds)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        opened = socket.create_connection((host, port), timeout)
        self._deadline.watch(opened)
        return opened


class _WatchedSmtpOverTls(smtplib.SMTP_SSL):
    def __init__(
        self, host: str, port: int, seconds: float, deadline: Deadline, trust: ssl.SSLContext
    ) -> None:
        self._deadline = deadline
        super().__init__(host, port, timeout=seconds, context=trust)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        opened = socket.create_connection((host, port), timeout)
        self._deadline.watch(opened)
        return self.context.wrap_socket(opened, server_hostname=host)
