"""Check mail addresses, and convert domains to ASCII."""

import re
from typing import Final

import idna

# RFC 5321, 4.5.3.1: the longest local part, and the longest path without angle brackets.
LOCAL_OCTETS_MAX: Final = 64
ADDRESS_OCTETS_MAX: Final = 254
DOMAIN_OCTETS_MAX: Final = 253
# The only accepted domain without a dot: the mail server of the same machine.
LOCALHOST: Final = "localhost"
# RFC 5322, 3.2.3: words of these characters, separated by single dots. Quoted local parts are legal
# but not used, and other characters need an extension that few mail servers have.
_LOCAL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z", re.IGNORECASE
)


def address_problem(address: str) -> str | None:
    """Return why mail cannot be sent to an address, as the end of a sentence; None if it can.

    Whether the mailbox exists is not checked.

    >>> address_problem("ann@example.com"), address_problem("ann@example")
    (None, 'its domain has no dot')
    """
    if not address.isprintable():
        return "it holds characters that cannot be seen"
    local, at, domain = address.rpartition("@")
    if not at or "@" in local:
        return "it needs exactly one @"
    if not local or not domain:
        return "something is missing before or after its @"
    if not _LOCAL.match(local):
        return (
            "before its @ are only letters without accents, digits, single dots and signs such as"
            " - _ + allowed"
        )
    if len(local) > LOCAL_OCTETS_MAX:
        return f"before its @ are more than {LOCAL_OCTETS_MAX} characters"
    try:
        written = domain_on_the_wire(domain)
    except ValueError:
        return "what follows its @ is no domain name"
    if written != LOCALHOST and "." not in written:
        return "its domain has no dot"
    if written.rpartition(".")[2].isdigit():
        return "what follows its @ is a number and no domain name"
    if len(written) > DOMAIN_OCTETS_MAX or len(local) + 1 + len(written) > ADDRESS_OCTETS_MAX:
        return f"it is longer than {ADDRESS_OCTETS_MAX} characters"
    return None


def domain_on_the_wire(domain: str) -> str:
    """Return a domain in ASCII, as mail servers use it. Raises ValueError for an invalid domain.

    >>> domain_on_the_wire("Bücher.example")
    'xn--bcher-kva.example'
    """
    if domain.endswith("."):
        raise ValueError("mail domains have no dot at their end")
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode()
    except idna.IDNAError as error:
        raise ValueError(str(error)) from None
    except UnicodeError as error:
        raise ValueError(str(error)) from None
