"""Turns errors of sockets, HTTP and SMTP into UpstreamFailed with the kind of failure."""

import http.client
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from urllib3.exceptions import HTTPError

from anomify.errors import UpstreamFailed
from anomify.outbound.deadline import Deadline

log = logging.getLogger(__name__)


@contextmanager
def upstream_failures(host: str, deadline: Deadline) -> Iterator[None]:
    """Raise UpstreamFailed, with the kind of failure, for errors raised inside.

    `host` names the server in the messages.
    """
    try:
        yield
    except UpstreamFailed:
        raise
    except (OSError, http.client.HTTPException, HTTPError, smtplib.SMTPException) as error:
        kind, sentence = _kind_and_sentence(error, host, is_late=deadline.is_over)
        log.debug("calling %s failed: %r", host, error)
        raise UpstreamFailed(sentence, kind=kind) from None


def _kind_and_sentence(error: Exception, host: str, *, is_late: bool) -> tuple[str, str]:
    if is_late or isinstance(error, TimeoutError):
        return "timeout", f"{host} took too long to answer."
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"The certificate of {host} is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "tls", f"No encrypted connection to {host} could be made."
    if isinstance(error, http.client.LineTooLong) or (
        isinstance(error, http.client.HTTPException) and "got more than" in str(error)
    ):
        return "too_large", f"{host} answered with headers that are too large."
    if isinstance(error, socket.gaierror):
        return "dns", f"The host name {host} is not known."
    if isinstance(error, smtplib.SMTPServerDisconnected) and "timed out" in str(error):
        # The library raises the same error for both; only its text differs.
        return "timeout", f"{host} took too long to answer."
    if isinstance(error, ConnectionResetError | BrokenPipeError | smtplib.SMTPServerDisconnected):
        return "refused", f"{host} closed the connection without an answer."
    if isinstance(error, http.client.HTTPException | smtplib.SMTPException):
        return "status", f"{host} answered something that cannot be understood."
    return "refused", f"{host} does not take connections."
