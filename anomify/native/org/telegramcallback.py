"""/org/telegramcallback: the buttons that people press in Telegram."""

from flask import request
from pydantic import Field

from anomify.delivery.telegram_callback import SECRET_HEADER, TelegramCallback
from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import Body, Inputs, Outputs, Wire
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("org_telegramcallback", __name__)


class TelegramHeaders(Inputs):
    """What Telegram proves itself with."""

    secret: str = Field(
        alias=SECRET_HEADER, description="The secret_token that was given to setWebhook."
    )


class SaidOut(Outputs):
    """What came of it."""

    message: str = Field(description="The sentence that the person is shown; empty for nothing.")


@blueprint.route(
    "/org/telegramcallback",
    outputs=SaidOut,
    access=PUBLIC,
    changes=True,
    # Telegram is called while no transaction is open.
    has_own_transactions=True,
    methods=("POST",),
    errors=(401, 403),
    wire=Wire(
        headers=TelegramHeaders,
        bodies=(Body("application/json", "An update, as Telegram sends it."),),
    ),
)
def telegramcallback() -> SaidOut:
    """Take a button that somebody pressed in Telegram.

    Give this address to setWebhook, with a secret_token that is also in the contact point. The
    person is found among the users of the org by the Telegram id in the profile, and has to be an
    editor at least.
    """
    state = app_state()
    callback = TelegramCallback(state.database, state.settings, state.points)
    return SaidOut(
        message=callback.take(request.get_data(), request.headers.get(SECRET_HEADER, ""))
    )
