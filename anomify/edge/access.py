"""Who may use a route: values that routes declare and that are checked against each caller."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

# Each role may do what those before it may do.
ROLES: Final = ("viewer", "editor", "admin", "owner")


class Caller(Protocol):
    """What an access reads of the caller of a request; the classes are in `auth.subject`."""

    @property
    def user_role(self) -> str | None:
        """Return the role of a signed-in user, and None for any other caller."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes of a token, and nothing for any other caller."""

    @property
    def has_signed_link(self) -> bool:
        """Return whether the caller is authenticated by a signed link alone."""


class Credential(StrEnum):
    """The ways to authenticate that the documentation names; NONE is to send nothing."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 -- the name of a kind of credential
    LINK = "link"
    BEARER = "bearer"
    BASIC = "basic"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may use a route.

    A subclass may demand more than these fields say by overriding `allows`, which is called within
    the request and may read it (such as the id in its path). The generated tests rely on the
    fields: users below `least_role` and tokens without `scope` have to be refused in any case.
    """

    # In the reviewed table of routes; unique.
    name: str
    # In the documentation of each route.
    sentence: str
    # How callers may authenticate, for the documentation.
    credentials: tuple[Credential, ...]
    # The least role of a user who may use it; None where no user may.
    least_role: str | None = None
    # The scope that a token needs; None where no token may use it.
    scope: str | None = None
    takes_signed_link: bool = False
    # Everybody may use it, authenticated or not.
    is_open: bool = False
    # Sessions and tokens are looked up before the view runs, and the limits of requests apply.
    identifies_caller: bool = True
    # Changes are refused while the org's bill is long overdue.
    needs_paid_bill: bool = False

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    def allows(self, caller: Caller) -> bool:
        """Return whether this caller may use a route with this access."""
        if self.is_open:
            return True
        if caller.user_role is not None:
            return self.least_role is not None and is_at_least(caller.user_role, self.least_role)
        if caller.has_signed_link:
            return self.takes_signed_link
        return self.scope is not None and self.scope in caller.scopes

    def refusal(self, caller: Caller) -> str:
        """Return the sentence of the 403 reply to a known caller."""
        if caller.user_role is not None:
            if self.least_role is None:
                return "Users may not do this; it needs a token."
            return f"Your role is {caller.user_role}; this needs the role {self.least_role}."
        if caller.has_signed_link:
            return "This link shows one thing only."
        if self.scope is None:
            return "Tokens may not do this; it needs a user."
        return f"The token lacks the scope {self.scope}."


def is_at_least(role: str, least: str) -> bool:
    """Return whether a role may do everything that the other one may do."""
    return ROLES.index(role) >= ROLES.index(least)


# No session or token is looked up, and nothing is counted.
PUBLIC: Final = Access(
    name="public",
    sentence="Open to everybody; no session is started.",
    credentials=(),
    is_open=True,
    identifies_caller=False,
)
# The holder of a signed link to exactly this request, or a viewer.
SIGNED: Final = Access(
    name="signed",
    sentence="For users of any role, tokens with the scope `read`, and holders of a signed"
    " link to exactly this.",
    credentials=(Credential.SESSION, Credential.TOKEN, Credential.LINK),
    least_role="viewer",
    scope="read",
    takes_signed_link=True,
)
# A token with the scope `ingest`, which the ingestion routes verify themselves.
INGEST: Final = Access(
    name="ingest",
    sentence="For tokens with the scope `ingest`.",
    credentials=(Credential.BEARER, Credential.TOKEN, Credential.BASIC),
    identifies_caller=False,
)
# A caller without credentials is given an anonymous session.
ANYONE: Final = Access(
    name="anyone",
    sentence="Open to everybody; a caller without a session is given one.",
    credentials=(Credential.SESSION, Credential.NONE),
    is_open=True,
)
VIEWER: Final = Access(
    name="viewer",
    sentence="For users of any role, and tokens with the scope `read`.",
    credentials=(Credential.SESSION, Credential.TOKEN),
    least_role="viewer",
    scope="read",
)
EDITOR: Final = Access(
    name="editor",
    sentence="For editors, admins and owners, and tokens with the scope `write`.",
    credentials=(Credential.SESSION, Credential.TOKEN),
    least_role="editor",
    scope="write",
    needs_paid_bill=True,
)
# Whoever may see an anomaly may write about it; a token needs the scope for changes.
COMMENTER: Final = Access(
    name="commenter",
    sentence="For users of any role, and tokens with the scope `write`.",
    credentials=(Credential.SESSION, Credential.TOKEN),
    least_role="viewer",
    scope="write",
    needs_paid_bill=True,
)
ADMIN: Final = Access(
    name="admin",
    sentence="For admins and owners, and tokens with the scope `admin`.",
    credentials=(Credential.SESSION, Credential.TOKEN),
    least_role="admin",
    scope="admin",
)
OWNER: Final = Access(
    name="owner",
    sentence="For owners; not for tokens.",
    credentials=(Credential.SESSION,),
    least_role="owner",
)
USER: Final = Access(
    name="user",
    sentence="For signed-in users of any role; not for tokens.",
    credentials=(Credential.SESSION,),
    least_role="viewer",
)
BUILT_IN: Final = (
    PUBLIC,
    SIGNED,
    INGEST,
    ANYONE,
    VIEWER,
    EDITOR,
    COMMENTER,
    ADMIN,
    OWNER,
    USER,
)
