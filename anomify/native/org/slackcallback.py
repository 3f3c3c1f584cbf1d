"""/org/slackcallback: the buttons that people press in Slack."""

from flask import request
from pydantic import Field

from anomify.channel.slack_request import SIGNATURE_HEADER, TIMESTAMP_HEADER
from anomify.delivery.slack_callback import SlackCallback
from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import Body, Inputs, Outputs, Wire
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("org_slackcallback", __name__)


class SlackHeaders(Inputs):
    """What Slack signs its requests with."""

    timestamp: str = Field(
        alias=TIMESTAMP_HEADER, description="When it was sent; five minutes are allowed."
    )
    signature: str = Field(
        alias=SIGNATURE_HEADER, description="v0= and an HMAC of the body, with the signing secret."
    )


class SaidOut(Outputs):
    """What came of it."""

    message: str = Field(description="The sentence that the person is shown.")


@blueprint.route(
    "/org/slackcallback",
    outputs=SaidOut,
    access=PUBLIC,
    changes=True,
    # Slack is called while no transaction is open.
    has_own_transactions=True,
    methods=("POST",),
    errors=(401, 403),
    wire=Wire(
        headers=SlackHeaders,
        bodies=(
            Body("application/x-www-form-urlencoded", "A form with `payload`, as Slack sends it."),
        ),
    ),
)
def slackcallback() -> SaidOut:
    """Take a button that somebody pressed in Slack.

    Enter this address as the Request URL under Interactivity of your Slack app, and the app's
    signing secret in the contact point. The person is found among the users of the org by the
    member id in the profile, or else by the e-mail address at Slack, and has to be an editor at
    least; otherwise the reason is shown to the person alone.
    """
    state = app_state()
    callback = SlackCallback(state.database, state.settings, state.points)
    # The signature covers these bytes, so they are not parsed before it is verified.
    said = callback.take(
        request.get_data(),
        request.headers.get(TIMESTAMP_HEADER, ""),
        request.headers.get(SIGNATURE_HEADER, ""),
    )
    return SaidOut(message=said)
