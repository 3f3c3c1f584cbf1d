"""/user/totp: a second factor from the user's authenticator app."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field, StringConstraints

from anomify.auth.sign_in import prove_code, prove_password, renew_session
from anomify.auth.subject import user_subject
from anomify.edge.access import USER
from anomify.edge.contract import Inputs, Outputs
from anomify.edge.transaction import transaction
from anomify.native.envelope import NativeBlueprint
from anomify.native.params import Code, Password
from anomify.native.user.account import MessageOut
from anomify.user.authenticator import (
    begin_enrolment,
    count_recovery_codes,
    finish_enrolment,
    qr_picture,
    renew_recovery_codes,
    turn_off,
)
from anomify.user.model import User
from anomify.user.queries import get_user

blueprint = NativeBlueprint("user_totp", __name__)


class PasswordIn(Inputs):
    """The user's password, because a stolen session must not be enough for this."""

    password: Password = Field(description="Your password.", repr=False)


class ConfirmIn(Inputs):
    """A code of the app."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=16)] = (
        Field(description="Six digits that the app shows now.", examples=["123456"])
    )


class DisableIn(PasswordIn):
    """The user's password, and a code."""

    code: Code = Field(description="A code of the app, or a recovery code.")


class TotpOut(Outputs):
    """Whether signing in requires a code of an app."""

    is_on: bool = Field(description="Whether a code of the app is required.")
    recovery_codes_left: int = Field(description="How many recovery codes are not used yet.")


class BegunOut(Outputs):
    """The key for an app; it is shown only once."""

    setup_key: str = Field(description="The key to type into the app, in base 32.")
    uri: str = Field(description="The same as an otpauth address, for the app to open.")
    qr: str = Field(description="The same as a picture to scan: SVG in a data address.")


class RecoveryOut(Outputs):
    """Codes for paper; they are shown now and never again."""

    recovery_codes: list[str] = Field(description="Each replaces a code of the app once.")


@blueprint.route("/user/totp", inputs=Inputs, outputs=TotpOut, access=USER)
def totp(inputs: Inputs) -> TotpOut:
    """Return whether signing in requires a code of your authenticator app."""
    del inputs
    user = user_subject().user
    return TotpOut(is_on=user.has_totp, recovery_codes_left=count_recovery_codes(user))


@blueprint.route(
    "/user/totp/begin",
    inputs=PasswordIn,
    outputs=BegunOut,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(401, 409),
    # Comparing passwords is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def begin(inputs: PasswordIn) -> BegunOut:
    """Begin to set up an authenticator app; no code is required until you confirm it."""
    caller = user_subject()
    prove_password(caller, inputs.password)
    with transaction(write=True):
        enrolment = begin_enrolment(get_user(caller.org, caller.user.id))
    return BegunOut(setup_key=enrolment.seed, uri=enrolment.uri, qr=qr_picture(enrolment.uri))


@blueprint.route(
    "/user/totp/confirm",
    inputs=ConfirmIn,
    outputs=RecoveryOut,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(409,),
)
def confirm(inputs: ConfirmIn) -> RecoveryOut:
    """Require the app's codes from now on; your other sessions end."""
    caller = user_subject()
    user = get_user(caller.org, caller.user.id)
    codes = finish_enrolment(user, inputs.code)
    renew_session(user)
    return RecoveryOut(recovery_codes=codes)


@blueprint.route(
    "/user/totp/disable",
    inputs=DisableIn,
    outputs=MessageOut,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(401,),
    has_own_transactions=True,
)
def disable(inputs: DisableIn) -> MessageOut:
    """Require no codes of the app any more; new clients get codes by mail if mail is set up."""
    with _authenticated_again(inputs) as user:
        turn_off(user)
        renew_session(user)
    return MessageOut(message="Signing in requires no code of an app any more.")


@blueprint.route(
    "/user/totp/recoverycodes",
    inputs=DisableIn,
    outputs=RecoveryOut,
    access=USER,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(401, 409),
    has_own_transactions=True,
)
def recoverycodes(inputs: DisableIn) -> RecoveryOut:
    """Create new recovery codes; the former ones become invalid."""
    with _authenticated_again(inputs) as user:
        return RecoveryOut(recovery_codes=renew_recovery_codes(user))


@contextmanager
def _authenticated_again(inputs: DisableIn) -> Iterator[User]:
    """Check password and code, and yield the user in a unit of work that writes.

    The password is compared before the unit of work opens; the code is used up in it.
    """
    caller = user_subject()
    prove_password(caller, inputs.password)
    with transaction(write=True):
        user = get_user(caller.org, caller.user.id)
        prove_code(user, inputs.code)
        yield user
