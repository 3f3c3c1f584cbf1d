"""What a route demands, held against whoever asks."""

from anomify.auth.subject import Anonymous, OrgSubject, Subject, UserSubject
from anomify.edge.contract import Access
from anomify.errors import Denied, Unauthenticated


def check_access(access: Access, asker: Subject) -> None:
    """Raise `Unauthenticated` for strangers and `Denied` for others who may not ask this."""
    if access is Access.INGEST or asker.can(access):
        return
    match asker:
        case Anonymous():
            raise Unauthenticated("Sign in, or send a token of your org as X-Auth-Token.")
        case OrgSubject():
            raise Denied(_token_sentence(access))
        case UserSubject():
            raise Denied(f"Your role is {asker.user.role}; this needs the role {access.value}.")
        case _:
            raise Denied("This link shows one thing only.")


def _token_sentence(access: Access) -> str:
    needed = {Access.VIEWER: "read", Access.SIGNED: "read"}
    needed |= {Access.EDITOR: "write", Access.ADMIN: "admin"}
    if access in needed:
        return f"The token lacks the scope {needed[access]}."
    return "Tokens may not do this; it needs a user."
