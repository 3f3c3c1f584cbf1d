"""Sign in with OpenID Connect: redirect to the provider, and the callback from it."""

from flask import Response, make_response, redirect
from pydantic import Field

from anomify.auth.oidc_sign_in import CALLBACK, START, begin, finish, forget
from anomify.dashboard.page_blueprint import HOME, PageBlueprint, local_path
from anomify.edge.access import ANYONE
from anomify.edge.contract import Inputs, names

blueprint = PageBlueprint("oidc_sign_in", __name__)


class BeginIn(Inputs):
    """The page to show after signing in."""

    next: str = Field(
        HOME, max_length=2_048, description="A path below /ui/ to redirect to afterwards."
    )
    invitation: str = Field(
        "",
        max_length=64,
        description="The token of an invitation that is accepted this way.",
        json_schema_extra=names(None),
        repr=False,
    )


class CallbackIn(Inputs):
    """The parameters with which the provider redirects the browser back."""

    state: str = Field("", max_length=200, description="The state of the request.", repr=False)
    code: str = Field("", max_length=4_096, description="The authorization code.", repr=False)
    iss: str = Field("", max_length=300, description="The issuer.")


@blueprint.route(
    START,
    inputs=BeginIn,
    access=ANYONE,
    methods=["GET"],
    limits=("login",),
    # The provider is called, which must not hold a transaction open.
    has_own_transactions=True,
)
def start(inputs: BeginIn) -> Response:
    """Redirect the browser to the configured OpenID provider, to sign in there."""
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
    """Sign in the user whom the provider identified, if the state matches the one in the cookie."""
    reply = make_response(redirect(finish(inputs.state, inputs.code, inputs.iss), 303))
    return forget(reply)
