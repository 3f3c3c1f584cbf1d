"""Users identified by another server (OpenID Connect): found by subject, never by address."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Denied
from anomify.org.queries import find_org
from anomify.user.creating import add_user, checked_name
from anomify.user.model import Identity, User
from anomify.user.password import hash_password
from anomify.user.queries import find_user_by_email

# The role of users who join by the domain of their address.
ROLE_BY_DOMAIN = "viewer"


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """The verified claims of an identity provider about a person who signed in there."""

    issuer: str
    subject: str
    email: str
    is_email_verified: bool
    name: str


def find_user_by_identity(external: ExternalIdentity) -> User | None:
    """Return the user of this identity and record its use; None if it is not connected."""
    identity = session().get(Identity, (external.issuer, external.subject))
    if identity is None:
        return None
    identity.last_login_at = now()
    return session().get_one(User, identity.user_id)


def is_connected(user: User, issuer: str) -> bool:
    """Return whether a user has connected an account at this issuer."""
    found = select(Identity.subject).where(Identity.user_id == user.id, Identity.issuer == issuer)
    return session().scalar(found.limit(1)) is not None


def link_identity(user: User, external: ExternalIdentity) -> None:
    """Connect an identity to a user, who must be signed in or new.

    Raises `Conflict` for an identity that belongs to another user.
    """
    before = session().get(Identity, (external.issuer, external.subject))
    if before is not None:
        if before.user_id != user.id:
            raise Conflict("That account is connected to another user here already.")
        return
    moment = now()
    session().add(
        Identity(
            issuer=external.issuer,
            subject=external.subject,
            user_id=user.id,
            created_at=moment,
            last_login_at=moment,
        )
    )
    session().flush()
    record_audit(
        user.org_id,
        actor=user.name,
        action="user.link",
        target=user.email,
        after={"issuer": external.issuer},
    )


def join_by_domain(
    external: ExternalIdentity, domains: Mapping[str, int], password_hash: str
) -> User:
    """Create a viewer for a verified address of a domain that is configured for an org.

    Raises `Denied` for other addresses, and for an address that has an account already, because
    the address does not prove that it is the same person.
    """
    org_id = domains.get(external.email.rpartition("@")[2].lower())
    org = find_org(org_id) if org_id is not None and external.is_email_verified else None
    if org is None:
        raise Denied(
            "That account is connected to no user here. Ask an admin of your org to invite you.",
            code="oidc_unknown",
        )
    if find_user_by_email(external.email.strip().lower()) is not None:
        raise Denied(
            "There is an account here with your address. Sign in with its password and connect "
            "the two under Account.",
            code="oidc_not_connected",
        )
    name = checked_name(external.name or external.email)
    user = add_user(org, external.email, name, ROLE_BY_DOMAIN, password_hash)
    record_audit(
        org.id,
        actor=user.name,
        action="user.join",
        target=user.email,
        after={"role": user.role, "issuer": external.issuer},
    )
    return user


def unusable_password_hash() -> str:
    """Return the hash of a random password; it takes as long to compare as any other."""
    return hash_password(secrets.token_urlsafe(32))
