"""Signing in with another server, for browsers: the way there, and the way back."""

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.oidc_sign_in import CALLBACK, START, begin, finish, forget
from anomify.dashboard.page_blueprint import HOME, PageBlueprint, local_path
from anomify.edge.access import ANYONE
from anomify.edge.contract import Inputs, names

blueprint = PageBlueprint("sign_in_elsewhere", __name__)


class BeginIn(Inputs):
    """Where to go once signed in."""

    next: str = Field(HOME, max_length=2_048, description="A page of ours to go on to.")
    invitation: str = Field(
        "",
        max_length=64,
        description="The token of an invitation that is accepted this way.",
        json_schema_extra=names(None),
        repr=False,
    )


class CallbackIn(Inputs):
    """What the other server sends the browser back with."""

    state: str = Field("", max_length=200, description="The state that we sent.", repr=False)
    code: str = Field("", max_length=4_096, description="What tells who it is.", repr=False)
    iss: str = Field("", max_length=300, description="Who says so.")


@blueprint.route(
    START,
    inputs=BeginIn,
    access=ANYONE,
    methods=["GET"],
    limits=("login",),
    # The other server is asked, and no transaction waits for that.
    has_own_transactions=True,
)
def start(inputs: BeginIn) -> Response:
    """Send the browser to the server that is set, to sign in there."""
    return begin(local_path(inputs.next), inputs.invitation)


@blueprint.route(
    CALLBACK,
    inputs=CallbackIn,
    access=ANYONE,
    methods=["GET"],
    limits=("login",),
    has_own_transactions=True,
)
def callback(inputs: CallbackIn) -> Response:
    """Sign in whoever comes back from there; the state in their cookie shows that they meant it."""
    reply = make_response(redirect(finish(inputs.state, inputs.code, inputs.iss), 303))
    return forget(reply)
