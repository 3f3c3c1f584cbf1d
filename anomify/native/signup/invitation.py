"""/signup/invitation: from the link of an invitation to an account."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anomify.auth.accept_invitation import join_with_password
from anomify.edge.access import ANYONE
from anomify.edge.contract import Inputs, Outputs, names
from anomify.native.envelope import NativeBlueprint
from anomify.native.login import SessionOut, session_out
from anomify.native.params import Password

blueprint = NativeBlueprint("signup_invitation", __name__)


class AcceptIn(Inputs):
    """The link that was mailed, and who opens it."""

    token: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)] = (
        Field(description="The token in the link.", repr=False)
    )
    name: str = Field(
        "",
        max_length=200,
        description="Your name; when left out, the name that the invitation has.",
        json_schema_extra=names(None),
    )
    password: Password = Field(description="The password of your new account.", repr=False)


class AcceptedOut(Outputs):
    """A new account, signed in."""

    message: str = Field(description="What happened.")
    session: SessionOut = Field(description="The new session.")


@blueprint.route(
    "/signup/invitation",
    inputs=AcceptIn,
    outputs=AcceptedOut,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
    errors=(409,),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def invitation(inputs: AcceptIn) -> AcceptedOut:
    """Accept an invitation: make the account that its link is for, and sign in."""
    signed_in = join_with_password(inputs.token, inputs.name, inputs.password)
    return AcceptedOut(
        message=f"You are in {signed_in.org.name} now.", session=session_out(signed_in)
    )
