"""Checks of what a route declares against the caller."""

from flask import request

from anomify.auth.subject import Anonymous, Subject
from anomify.billing.debt import check_may_write
from anomify.clock import now
from anomify.edge.access import Access
from anomify.edge.contract import Declared
from anomify.errors import Denied, Invalid, Unauthenticated

# Parameters that must not be in a URL, which ends up in logs and histories.
PASSWORDS = {"password", "password_1", "password_2", "current"}


def check_access(access: Access, caller: Subject) -> None:
    """Raise `Unauthenticated` for unknown callers and `Denied` for known ones without the right."""
    if access.allows(caller):
        return
    if isinstance(caller, Anonymous):
        raise Unauthenticated("Sign in, or send a token of your org as X-Auth-Token.")
    raise Denied(access.refusal(caller))


def check_may_change(route: Declared, caller: Subject) -> None:
    """Raise `Denied` for a change of a demo org, or of one whose bill is long overdue.

    Routes that are open to everybody change nothing of an org: signing in and out, for example.
    """
    if not route.changes or route.access.is_open or isinstance(caller, Anonymous):
        return
    if caller.org.is_demo:
        raise read_only()
    if route.access.needs_paid_bill:
        # Admins can still pay, manage users and leave.
        check_may_write(caller.org.overdue_since, now())


def read_only() -> Denied:
    """Return the error for changes that the users of a demo org may not make."""
    return Denied(
        "This is a demo that everybody may look at, so nothing can be changed in it. Create an org "
        "of your own to do this.",
        code="demo_read_only",
    )


def check_no_password_in_address() -> None:
    """Raise `Invalid` for a request with a password in its address."""
    found = sorted(PASSWORDS & set(request.args))
    if found:
        raise Invalid(
            "A password does not belong in an address; send it in the body, and choose a new one.",
            code="password_in_address",
            fields=dict.fromkeys(found, "Send it in the body."),
        )
