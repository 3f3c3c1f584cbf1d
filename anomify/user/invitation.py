"""Invitations to an org: a mailed link with which a person creates an account with a role."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, delete, func, select, update

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import Page, session
from anomify.errors import Conflict, Invalid, NotFound, QuotaExceeded
from anomify.org.letter import count_letters, post_letter
from anomify.org.model import Org
from anomify.org.queries import get_org
from anomify.user.creating import add_user, check_role, checked_name, fold_email, shown_name
from anomify.user.model import Invitation, User
from anomify.user.queries import find_user_by_email
from anomify.user.role import OWNER, check_may_give

LIFETIME = timedelta(hours=72)
SECRET_BYTES = 32
FORGOTTEN_AFTER = timedelta(days=30)
# The most open invitations of an org.
WAITING_MAX = 100
LETTER_PURPOSE = "invitation"
# The most letters to one address, from all orgs together.
LETTERS_MAX = 3
LETTERS_WINDOW = timedelta(hours=1)
PATH = "/ui/invitation"


@dataclass(frozen=True, slots=True)
class Inviter:
    """The inviting user: name, role, and the base URL for links."""

    label: str
    role: str
    base_url: str


def invite(org: Org, email: str, name: str, role: str, by: Inviter) -> tuple[Invitation, str]:
    """Create an invitation and a letter with its link, sent when the unit of work is committed.

    The link is also returned, for installations without mail; it is not stored. The result does not
    reveal whether the address has an account in another org. Raises `Invalid` for an unusable
    address, name or role, `Denied` for a role above the inviter's own, `Conflict` for an address
    that is in the org or was invited already, and `QuotaExceeded` for too many invitations.
    """
    address = fold_email(email)
    named = checked_name(name) if name.strip() else ""
    check_role(role)
    check_may_give(role, by.role)
    known = find_user_by_email(address)
    if known is not None and known.org_id == org.id:
        raise Conflict(
            f"{known.name} is in your org already.",
            code="user_exists",
            fields={"email": "Somebody who is not in your org yet."},
        )
    if session().scalar(select(Invitation.id).where(*_waiting(org), Invitation.email == address)):
        raise Conflict(
            "This address was invited already; send the letter again, or revoke the invitation.",
            code="invited_already",
            fields={"email": "Somebody who was not invited yet."},
        )
    if _count(*_waiting(org)) >= WAITING_MAX:
        raise QuotaExceeded(f"{WAITING_MAX} invitations wait for an answer; revoke some first.")
    moment = now()
    invitation = Invitation(
        org_id=org.id,
        email=address,
        name=named,
        role=role,
        secret_hash=b"",
        invited_by=by.label,
        created_at=moment,
        sent_at=moment,
        expires_at=moment,
    )
    link = _send(org, invitation, by)
    session().add(invitation)
    session().flush()
    _record(invitation, by.label, "user.invite")
    return invitation, link


def resend_invitation(org: Org, invitation_id: int, by: Inviter) -> tuple[Invitation, str]:
    """Mail a new link that replaces the earlier one, valid for 72 hours, and return it.

    Raises `NotFound`, `Denied` and `QuotaExceeded` as `invite` does, and `Conflict` for one that
    was accepted or revoked.
    """
    invitation = _get(org, invitation_id)
    check_may_give(invitation.role, by.role)
    link = _send(org, invitation, by)
    _record(invitation, by.label, "user.invite_again")
    return invitation, link


def revoke_invitation(org: Org, invitation_id: int, actor: str) -> Invitation:
    """Revoke the invitation. Raises `NotFound`, or `Conflict` if it was accepted."""
    invitation = _get(org, invitation_id)
    invitation.revoked_at = now()
    _record(invitation, actor, "user.uninvite")
    return invitation


def list_invitations(org: Org, *, limit: int = 50, offset: int = 0) -> Page[Invitation]:
    """Return the invitations that were not accepted or revoked, expired ones too, newest first."""
    open_ones = _open(org)
    rows = (
        select(Invitation)
        .where(*open_ones)
        .order_by(Invitation.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return Page(list(session().scalars(rows)), _count(*open_ones))


def find_invitation(secret: str) -> tuple[Invitation, Org] | None:
    """Return the invitation of a link and its org; None if the link is not valid."""
    found = session().scalar(select(Invitation).where(Invitation.secret_hash == _hash(secret)))
    if found is None or not is_waiting(found):
        return None
    return found, get_org(found.org_id)


def is_waiting(invitation: Invitation) -> bool:
    """Return whether an invitation may still be accepted."""
    is_open = invitation.accepted_at is None and invitation.revoked_at is None
    return is_open and invitation.expires_at > now()


def accept_invitation(secret: str, name: str, password_hash: str) -> User:
    """Create the invited user and use up the link; of two simultaneous attempts one succeeds.

    Raises `Invalid` for a link that is not valid, and `Conflict` if the address has an account in
    another org.
    """
    used = session().execute(
        update(Invitation)
        .where(
            Invitation.secret_hash == _hash(secret),
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
            Invitation.expires_at > now(),
        )
        .values(accepted_at=now())
        .returning(Invitation.id)
        .execution_options(synchronize_session=False)
    )
    invitation_id = used.scalar()
    if invitation_id is None:
        raise bad_link()
    invitation = session().get_one(Invitation, invitation_id)
    user = add_user(
        get_org(invitation.org_id),
        invitation.email,
        name or invitation.name,
        invitation.role,
        password_hash,
    )
    record_audit(
        user.org_id,
        actor=user.name,
        action="user.accept",
        target=user.email,
        after={"role": user.role, "invited_by": invitation.invited_by},
    )
    return user


def forget_invitations(at: datetime) -> None:
    """Delete invitations a month after they expired."""
    session().execute(delete(Invitation).where(Invitation.expires_at < at - FORGOTTEN_AFTER))


def bad_link() -> Invalid:
    """Return the error for a link that is not valid."""
    return Invalid(
        "This invitation was used already, has expired or was revoked. Ask for a new one.",
        code="bad_invitation",
        fields={"token": "Ask the person who invited you for a new one."},
    )


def _get(org: Org, invitation_id: int) -> Invitation:
    invitation = session().scalar(
        select(Invitation).where(Invitation.org_id == org.id, Invitation.id == invitation_id)
    )
    if invitation is None:
        raise NotFound("Your org has no such invitation.")
    if invitation.accepted_at is not None or invitation.revoked_at is not None:
        raise Conflict("This invitation was accepted or revoked; invite them again.")
    return invitation


def _send(org: Org, invitation: Invitation, by: Inviter) -> str:
    moment = now()
    if count_letters(invitation.email, LETTER_PURPOSE, moment - LETTERS_WINDOW) >= LETTERS_MAX:
        raise QuotaExceeded(
            "This address was sent several invitations within the hour; wait a little.",
            retry_after_seconds=int(LETTERS_WINDOW.total_seconds()),
        )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    invitation.secret_hash = _hash(secret)
    invitation.sent_at = moment
    invitation.expires_at = moment + LIFETIME
    link = f"{by.base_url}{PATH}?{urlencode({'token': secret})}"
    subject, text = _letter(org, invitation, by, link)
    post_letter(
        invitation.email,
        subject,
        text,
        org_id=org.id,
        purpose=LETTER_PURPOSE,
        lifetime=LIFETIME,
    )
    return link


def _letter(org: Org, invitation: Invitation, by: Inviter, link: str) -> tuple[str, str]:
    org_name, inviter = shown_name(org.name), shown_name(by.label)
    greeting = f"Hello {shown_name(invitation.name)},\n\n" if invitation.name else "Hello,\n\n"
    hours = int(LIFETIME.total_seconds()) // 3600
    known = find_user_by_email(invitation.email)
    if known is None:
        what_to_do = (
            "Open this to choose a password and sign in. It works once, within "
            f"{hours} hours:\n{link}\n\n"
        )
    else:
        # Only the invited person learns of the account; the inviting one does not.
        what_to_do = (
            f"Your address {invitation.email} has an account in another org here,"
            f" {shown_name(get_org(known.org_id).name)}, and an address belongs to one org only."
            " So you cannot join with it now. You can do one of these:\n\n"
            f"- Ask {inviter} to invite another address of yours, and keep both accounts.\n"
            "- Have the account that you have deleted: an admin of that org can remove you, or you"
            f" yourself, signed in, with POST {by.base_url}/user/delete.{_if_owner(known)} Then"
            f" open this to choose a password and join. It works once, within {hours} hours:\n"
            f"{link}\n\n"
        )
    text = (
        f"{greeting}{inviter} invites you into {org_name} on Anomify, as {invitation.role}. "
        f"{what_to_do}If you do not know what this is about, do nothing.\n"
    )
    return f"You are invited into {org_name} on Anomify", text


def _if_owner(user: User) -> str:
    if user.role != OWNER:
        return ""
    return " You are an owner there: if you are the last one, hand the org over or delete it first."


def _open(org: Org) -> list[ColumnElement[bool]]:
    return [
        Invitation.org_id == org.id,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
    ]


def _waiting(org: Org) -> list[ColumnElement[bool]]:
    return [*_open(org), Invitation.expires_at > now()]


def _count(*wanted: ColumnElement[bool]) -> int:
    return session().scalar(select(func.count()).select_from(Invitation).where(*wanted)) or 0


def _record(invitation: Invitation, actor: str, action: str) -> None:
    record_audit(
        invitation.org_id,
        actor=actor,
        action=action,
        target=invitation.email,
        after={"role": invitation.role},
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
