"""The caller of a request: a user, a token of an org, a signed link, or an unknown caller."""

from dataclasses import dataclass
from typing import cast

from flask import g

from anomify.db import if_undone, plain
from anomify.edge.access import ROLES
from anomify.errors import Unauthenticated
from anomify.org.model import Org, Token
from anomify.org.token import SCOPES
from anomify.user.model import User

SUBJECT_KEY = "anomify_subject"
# The scopes that a user may give a token, by role: no more than they may do themselves.
_GRANTABLE_BY = {
    "viewer": ("read",),
    "editor": ("ingest", "read", "write"),
    "admin": SCOPES,
    "owner": SCOPES,
}


@dataclass(frozen=True)
class UserSubject:
    """A user who signed in; what it holds of rows are copies that belong to no unit of work.

    So it can be read in the reply after a failed commit.
    """

    user: User
    org: Org
    # The SHA-256 of the session's id, under which its row is kept.
    session_key: bytes

    def __post_init__(self) -> None:
        """Replace the rows by detached copies."""
        _copy(self, "user", "org")

    @property
    def label(self) -> str:
        """Return the name that is recorded for what the caller creates or changes."""
        return self.user.name

    @property
    def grantable(self) -> tuple[str, ...]:
        """Return the scopes that a token made by this user may have."""
        return _GRANTABLE_BY[self.user.role]

    @property
    def role(self) -> str:
        """Return the highest role that this user may give: their own."""
        return self.user.role

    @property
    def user_role(self) -> str:
        """Return the role of the user."""
        return self.user.role

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return nothing: a user has a role instead."""
        return ()

    @property
    def has_signed_link(self) -> bool:
        """Return whether a signed link is all that the caller sent."""
        return False


@dataclass(frozen=True)
class OrgSubject:
    """A client with a token of an org; it is no user."""

    org: Org
    token: Token

    def __post_init__(self) -> None:
        """Replace the rows by detached copies."""
        _copy(self, "org", "token")

    @property
    def label(self) -> str:
        """Return the name that is recorded for what the caller creates or changes."""
        return f"token:{self.token.name}"

    @property
    def grantable(self) -> tuple[str, ...]:
        """Return the scopes that a token made by this one may have: its own."""
        return self.scopes

    @property
    def role(self) -> str:
        """Return the highest role that this token may give."""
        return "admin" if "admin" in self.scopes else "viewer"

    @property
    def user_role(self) -> None:
        """Return nothing: a token has scopes instead."""
        return None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return what the token may be used for."""
        return tuple(self.token.scopes.split(","))

    @property
    def has_signed_link(self) -> bool:
        """Return whether a signed link is all that the caller sent."""
        return False


class _WithoutRights:
    """The part that callers share who are neither a user nor a token."""

    @property
    def grantable(self) -> tuple[str, ...]:
        """Return nothing: these callers make no tokens."""
        return ()

    @property
    def role(self) -> str:
        """Return the lowest role."""
        return ROLES[0]

    @property
    def user_role(self) -> None:
        """Return nothing: these callers have no role."""
        return None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return nothing: these callers have no scopes."""
        return ()


@dataclass(frozen=True)
class LinkSubject(_WithoutRights):
    """The holder of a signed link, who may see what it names and nothing else of the org."""

    org: Org

    def __post_init__(self) -> None:
        """Replace the row by a detached copy."""
        _copy(self, "org")

    @property
    def label(self) -> str:
        """Return the name that is recorded for what the caller creates or changes."""
        return "link"

    @property
    def has_signed_link(self) -> bool:
        """Return whether a signed link is all that the caller sent."""
        return True


@dataclass(frozen=True)
class Anonymous(_WithoutRights):
    """A caller without valid credentials."""

    @property
    def org(self) -> Org:
        """Raise `Unauthenticated`: the caller has no org."""
        raise Unauthenticated("Sign in, or send a token of your org as X-Auth-Token.")

    @property
    def label(self) -> str:
        """Return the name that is recorded for what the caller creates or changes."""
        return "anonymous"

    @property
    def has_signed_link(self) -> bool:
        """Return whether a signed link is all that the caller sent."""
        return False


Subject = UserSubject | OrgSubject | LinkSubject | Anonymous


def subject() -> Subject:
    """Return the caller of the current request; `Anonymous` before authentication."""
    return cast("Subject", g.get(SUBJECT_KEY, Anonymous()))


def user_subject() -> UserSubject:
    """Return the signed-in user of the current request. Raises `Unauthenticated` for others."""
    found = subject()
    if not isinstance(found, UserSubject):
        raise Unauthenticated("Sign in first.")
    return found


def put_subject(found: Subject) -> None:
    """Set the caller of the current request; undone if the open unit of work fails."""
    before = subject()
    if_undone(lambda: setattr(g, SUBJECT_KEY, before))
    setattr(g, SUBJECT_KEY, found)


def _copy(caller: UserSubject | OrgSubject | LinkSubject, *names: str) -> None:
    for name in names:
        object.__setattr__(caller, name, plain(getattr(caller, name)))
