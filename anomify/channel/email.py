"""E-mail: text, HTML and the picture in it; a recovery lies in the thread of its notice."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from anomify.channel.message import DELIVERED, PICTURE_CID, Message, Receipt, Target
from anomify.clock import now
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.outbound import MailServer

SENDER_NAME = "Anomify"
# Longer subjects are cut by every reader.
SUBJECT_MAX_CHARACTERS = 200
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class EmailChannel:
    """Sends through the operator's mail server."""

    def __init__(self, settings: Settings, server: MailServer) -> None:
        """Take who we are, and the server."""
        self._sender = parseaddr(settings.mail_from)
        self._server = server

    def send(self, message: Message, target: Target) -> Receipt:
        """Write the mail and hand it to the server."""
        try:
            mail = self._mail(message, target)
        except ValueError:
            return Receipt(
                is_delivered=False,
                problem="The e-mail address cannot be written to.",
                is_permanent=True,
            )
        try:
            self._server.send(mail)
        except UpstreamFailed as failure:
            return Receipt.of_failure(failure)
        return DELIVERED

    def _mail(self, message: Message, target: Target) -> EmailMessage:
        name, address = self._sender
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = one_line(message.subject)[:SUBJECT_MAX_CHARACTERS]
        mail["From"] = Address(one_line(name) or SENDER_NAME, addr_spec=address)
        mail["To"] = Address(one_line(target.name), addr_spec=target.address)
        mail["Date"] = format_datetime(now())
        mail["Message-ID"] = self._mail_id(message.id)
        if message.answers_id is not None:
            mail["In-Reply-To"] = mail["References"] = self._mail_id(message.answers_id)
        # Nobody's holiday notice needs to come back.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        if message.picture is not None:
            *_, html = mail.iter_parts()
            if isinstance(html, EmailMessage):
                html.add_related(
                    message.picture,
                    maintype="image",
                    subtype="png",
                    cid=f"<{PICTURE_CID}>",
                    filename="anomaly.png",
                    disposition="inline",
                )
        return mail

    def _mail_id(self, message_id: str) -> str:
        return f"<{message_id}@{self._sender[1].rpartition('@')[2]}>"


def one_line(text: str) -> str:
    """Return the text as it may stand in a header: what ends lines or cannot be seen is a space."""
    return _UNSEEN.sub(" ", text).strip()
