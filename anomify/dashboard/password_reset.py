"""The password reset pages: requesting a link, and setting a new password with it."""

from typing import Annotated, Final

from flask import Response, make_response, render_template
from pydantic import Field, StringConstraints

from anomify.auth.password_reset import finish_reset
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.dashboard.sign_in import after_sign_in
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.user.recovery import PATH, find_reset_user, request_reset

blueprint = PageBlueprint("forgotten", __name__)

FORGOT: Final = "/ui/forgot"
Text = Annotated[str, StringConstraints(max_length=1_024)]


class ForgotForm(Inputs):
    """The address of the account."""

    email: Text = ""


class LinkIn(Inputs):
    """The link that was mailed."""

    email: Text = ""
    reset_token: Text = Field("", repr=False)


class ResetForm(LinkIn):
    """The new password, twice."""

    password_1: Text = Field("", repr=False)
    password_2: Text = Field("", repr=False)


@blueprint.route(FORGOT, inputs=Inputs, access=ANYONE, methods=["GET"])
def page(inputs: Inputs) -> str:
    """Show the form for the address to mail a link to."""
    del inputs
    return _asking(is_sent=False)


@blueprint.route(
    FORGOT,
    inputs=ForgotForm,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="request_link",
    limits=("login",),
)
def request_link(inputs: ForgotForm) -> str:
    """Mail the link; the response is the same whether or not the account exists."""
    request_reset(inputs.email, app_state().settings.base_url)
    return _asking(is_sent=True)


@blueprint.route(PATH, inputs=LinkIn, access=ANYONE, methods=["GET"], endpoint="reset_page")
def reset_page(inputs: LinkIn) -> Response:
    """Show the form for the new password to the owner of the mailed link."""
    return _form(inputs)


@blueprint.route(
    PATH,
    inputs=ResetForm,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="reset",
    limits=("login",),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def reset(inputs: ResetForm) -> Response:
    """Set the new password and sign the user in."""
    try:
        found = finish_reset(inputs.email, inputs.reset_token, inputs.password_1, inputs.password_2)
    except AnomifyError as error:
        with transaction(write=False):
            return _form(inputs, error)
    return after_sign_in(found)


def _asking(*, is_sent: bool) -> str:
    return render_template(
        "dashboard/forgot.html",
        is_sent=is_sent,
        has_mail=app_state().settings.smtp_host is not None,
    )


def _form(inputs: LinkIn, error: AnomifyError | None = None) -> Response:
    is_good = find_reset_user(inputs.email, inputs.reset_token) is not None
    page = render_template(
        "dashboard/choose_password.html",
        action="forgotten.reset",
        is_good=is_good,
        heading="Set a new password" if is_good else "This link does not work",
        lead="You will be signed in, and signed out everywhere else.",
        excuse="It has been used, has expired or was not copied completely.",
        again="forgotten.page",
        again_words="Ask for a new link",
        hidden={"email": inputs.email, "reset_token": inputs.reset_token},
        email=inputs.email,
        button="Set the password",
        faults=dict(error.fields) if error else {},
        fault_sentence=error.message if error else "",
    )
    status = error.status if error else 200 if is_good else 404
    return make_response(page, status)
