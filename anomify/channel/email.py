"""Send a message as an e-mail: text, HTML and a picture; a recovery replies to its first mail."""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from anomify.channel.kind import ChannelKind, Person, Setting, fixed_lane
from anomify.channel.message import DELIVERED, PICTURE_CID, Message, Receipt, Target
from anomify.channel.text import one_line, short
from anomify.clock import now
from anomify.config import Settings
from anomify.errors import UpstreamFailed
from anomify.mail_address import address_problem, domain_on_the_wire
from anomify.outbound.mail_server import MailServer

SENDER_NAME = "Anomify"
# The longest line that is allowed (RFC 5322, 2.1.1). With shorter lines the library would encode
# long addresses in headers, and mail programs would not find them.
LINE_MAX_CHARACTERS = 998
# Mail programs do not show longer subjects.
SUBJECT_MAX_CHARACTERS = 200
# What can be written between angle brackets in one line of a header.
_HEADER_URL = re.compile(r"https?://[!-;=?-~]{1,900}")


class EmailChannel:
    """Sends through the operator's mail server."""

    def __init__(self, settings: Settings, server: MailServer) -> None:
        """Send from the address in the setting `mail_from`, through this server."""
        name, address = parseaddr(settings.mail_from)
        self._sender = (name or SENDER_NAME, address)
        self._server = server

    def send(self, message: Message, target: Target) -> Receipt:
        """Send the message as a mail and return the result."""
        sender = _address(*self._sender)
        if sender is None:
            return Receipt(is_delivered=False, problem="The setting mail_from is not an address.")
        recipient = _address(target.name, target.address)
        if recipient is None:
            return Receipt(
                is_delivered=False,
                problem="The e-mail address cannot be written to.",
                is_permanent=True,
            )
        mail = self._mail(message, sender, recipient)
        try:
            self._server.send(mail)
        except UpstreamFailed as failure:
            return Receipt.of_failure(failure)
        return DELIVERED

    def _mail(self, message: Message, sender: Address, recipient: Address) -> EmailMessage:
        mail = EmailMessage(policy=SMTP.clone(max_line_length=LINE_MAX_CHARACTERS))
        mail["Subject"] = short(message.subject, SUBJECT_MAX_CHARACTERS)
        mail["From"] = sender
        mail["To"] = recipient
        mail["Date"] = format_datetime(now())
        mail["Message-ID"] = self._mail_id(message.id)
        if message.answers_id is not None:
            mail["In-Reply-To"] = mail["References"] = self._mail_id(message.answers_id)
        if _HEADER_URL.fullmatch(message.unsubscribe_url):
            # Mail programs show a button for it and post to the address (RFC 8058).
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        # So that no automatic replies are sent (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        if message.html and message.picture is not None:
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


def _address(name: str, address: str) -> Address | None:
    local, at, domain = address.rpartition("@")
    try:
        if not domain.isascii():
            # Few mail servers accept other letters (SMTPUTF8).
            address = f"{local}{at}{domain_on_the_wire(domain)}"
        found = Address(one_line(name), addr_spec=address)
        return found if found.addr_spec.isascii() else None
    except (ValueError, IndexError, MessageError):
        # The library raises each of these for an invalid address.
        return None


def _problem(address: str) -> str | None:
    problem = address_problem(address)
    return f"No mail can be sent there: {problem}." if problem else None


KIND = ChannelKind(
    name="email",
    words="E-mail",
    about="A mail to a person of the org, with the picture in it.",
    settings=(
        Setting(
            "address",
            "Address",
            hint="Only where it is for no person of the org, such as a mailing list.",
            is_required=False,
            check=_problem,
        ),
    ),
    make=lambda settings: EmailChannel(settings, MailServer(settings)),
    # No host has this name.
    lane_of=fixed_lane("@mail"),
    person=Person.EMAIL,
    address_setting="address",
    answers_in_thread=True,
    shows_picture=True,
)
