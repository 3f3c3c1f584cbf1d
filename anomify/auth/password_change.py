"""Change the password of a signed-in user."""

from anomify.auth.sign_in import prove_password, renew_session
from anomify.auth.subject import UserSubject
from anomify.edge.transaction import transaction
from anomify.user.creating import hash_new_password
from anomify.user.password import same_password
from anomify.user.queries import get_user
from anomify.user.recovery import change_password


def change_own_password(
    caller: UserSubject, current: str, password_1: str, password_2: str
) -> None:
    """Set a new password and give the session a new id; the user's other sessions end.

    No unit of work may be open. Raises `Unauthenticated` if `current` is not the password,
    `QuotaExceeded` after many tries, and `Invalid` for a new password that cannot be used.
    """
    prove_password(caller, current)
    password = same_password(password_1, password_2)
    user = caller.user
    hashed = hash_new_password(
        password, email=user.email, name=user.name, org_name=caller.org.name, field="password_1"
    )
    with transaction(write=True):
        change_password(get_user(caller.org, user.id), hashed)
        renew_session(user)
