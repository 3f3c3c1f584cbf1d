"""Accept an invitation: create the account and start a session."""

from anomify.auth.sign_in import remember_client, start_session
from anomify.auth.subject import UserSubject
from anomify.edge.transaction import transaction
from anomify.user.creating import checked_name, hash_new_password
from anomify.user.invitation import accept_invitation, bad_link, find_invitation
from anomify.user.second_factor import EMAIL


def join_with_password(secret: str, name: str, password: str) -> UserSubject:
    """Create the account of an invitation and sign its user in.

    For an empty name, the one that the inviting user entered is used. No unit of work may be open.
    Raises `Invalid` for an invalid link and for an unusable name or password, and `Conflict` if
    the address has an account already.
    """
    with transaction(write=False):
        found = find_invitation(secret)
    if found is None:
        raise bad_link()
    invitation, org = found
    named = checked_name(name or invitation.name)
    hashed = hash_new_password(password, email=invitation.email, name=named, org_name=org.name)
    with transaction(write=True):
        user = accept_invitation(secret, named, hashed)
        # The link was mailed to this address, so no mailed code is required of this client.
        remember_client(user, EMAIL)
        return start_session(user)
