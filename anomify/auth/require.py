"""What a route demands, held against whoever asks."""

from flask import request

from anomify.auth.subject import Anonymous, OrgSubject, Subject, UserSubject
from anomify.billing.debt import check_may_write
from anomify.clock import now
from anomify.edge.contract import Access, Declared
from anomify.errors import Denied, Invalid, Unauthenticated

# In an address they would end up in logs and histories.
PASSWORDS = {"password", "password_1", "password_2", "current"}
# What changes nothing of an org: signing in and out, and looking around in a demo.
_CHANGES_NO_ORG = {Access.PUBLIC, Access.ANYONE}


def check_access(access: Access, caller: Subject) -> None:
    """Raise `Unauthenticated` for strangers and `Denied` for others who may not ask this."""
    if access is Access.INGEST or caller.can(access):
        return
    match caller:
        case Anonymous():
            raise Unauthenticated("Sign in, or send a token of your org as X-Auth-Token.")
        case OrgSubject():
            raise Denied(_token_sentence(access))
        case UserSubject():
            raise Denied(f"Your role is {caller.user.role}; this needs the role {access.value}.")
        case _:
            raise Denied("This link shows one thing only.")


def check_may_change(route: Declared, caller: Subject) -> None:
    """Raise `Denied` for a change of a demo org, at which everybody looks, or of one that owes."""
    if not route.changes or route.access in _CHANGES_NO_ORG or isinstance(caller, Anonymous):
        return
    if caller.org.is_demo:
        raise read_only()
    if route.access is Access.EDITOR:
        # Paying, people and leaving are for admins, and go on.
        check_may_write(caller.org.overdue_since, now())


def read_only() -> Denied:
    """Return what to raise for what the people of a demo org may not do."""
    return Denied(
        "This is a demo that everybody may look at, so nothing can be changed in it. Make an org "
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


def _token_sentence(access: Access) -> str:
    needed = {Access.VIEWER: "read", Access.SIGNED: "read"}
    needed |= {Access.EDITOR: "write", Access.ADMIN: "admin"}
    if access in needed:
        return f"The token lacks the scope {needed[access]}."
    return "Tokens may not do this; it needs a user."
