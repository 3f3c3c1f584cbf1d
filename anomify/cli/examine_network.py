"""Checks of what the installation is reached by and sends to: its address, webhooks and mail."""

import socket

from sqlalchemy.exc import SQLAlchemyError

from anomify.cli.finding import Finding, first_line, read_if_there
from anomify.config import Settings
from anomify.org.letter import count_waiting_letters, latest_letter_problem

CONNECT_SECONDS = 3.0


def examine_egress(settings: Settings) -> Finding:
    """Check that the mail server answers, and show which private networks webhooks may reach."""
    name = "egress"
    allowed = ", ".join(settings.egress_allow) or "no private network"
    webhooks = f"Webhooks may reach {allowed}"
    if settings.smtp_host is None:
        return Finding(
            name,
            is_well=True,
            sentence=f"{webhooks}; no mail is sent, because smtp_host is not set.",
        )
    server = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        socket.create_connection(
            (settings.smtp_host, settings.smtp_port), timeout=CONNECT_SECONDS
        ).close()
    except OSError as error:
        return Finding(
            name, is_well=False, sentence=f"The mail server {server} does not answer: {error}."
        )
    return Finding(name, is_well=True, sentence=f"{webhooks}; the mail server {server} answers.")


def examine_letters(settings: Settings) -> Finding:
    """Check whether mails with links and codes are waiting to be sent."""
    name = "letters"
    try:
        found = read_if_there(settings, lambda: (count_waiting_letters(), latest_letter_problem()))
    except SQLAlchemyError as error:
        return Finding(
            name, is_well=False, sentence=f"The mails cannot be read: {first_line(error)}"
        )
    if found is None:
        return Finding(name, is_well=True, sentence="No mails have been written yet.")
    waiting, problem = found
    if settings.smtp_host is None:
        return Finding(
            name,
            is_well=not waiting,
            sentence=f"{waiting} mails are waiting, because smtp_host is not set: links and codes "
            "are not sent; `anomify user reset-link` prints a link for a new password.",
        )
    if problem is not None:
        return Finding(
            name,
            is_well=False,
            sentence=f"{waiting} mails are waiting, so people who need a code cannot sign in: "
            f"{problem} Until that is solved, login_codes=false lets them sign in without one.",
        )
    return Finding(name, is_well=True, sentence=f"{waiting} mails are waiting to be sent.")


def examine_address(settings: Settings) -> Finding:
    """Check that people on other machines can sign in and that links in mails work."""
    name, url = "address", settings.base_url
    if settings.public_url is None and settings.has_secure_cookies:
        return Finding(
            name,
            is_well=False,
            sentence=f"The server listens on {settings.host}, but links point to {url} and "
            "browsers would not stay signed in there: set public_url to the https address that "
            "people use, or set insecure_http=true to allow http.",
        )
    if url.startswith("https://") and not settings.trusted_proxies:
        return Finding(
            name,
            is_well=True,
            sentence=f"Links point to {url}. Set trusted_proxies to the address of the proxy: "
            "until then limits and the audit trail use its address instead of the callers'.",
        )
    return Finding(name, is_well=True, sentence=f"Links point to {url}.")
