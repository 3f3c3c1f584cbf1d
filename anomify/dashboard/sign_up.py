"""The sign-up pages: requesting an org, and choosing a password with the mailed link."""

from typing import Annotated, Final

from flask import Response, make_response, redirect, render_template
from pydantic import Field, StringConstraints

from anomify.auth.password_reset import finish_signup
from anomify.auth.sign_in import start_session
from anomify.dashboard.page_blueprint import HOME, PageBlueprint
from anomify.dashboard.setup import CONNECT_PATH, zones
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, NotFound
from anomify.org.queries import list_demo_orgs
from anomify.user.demo_visitor import create_demo_visitor
from anomify.user.signup import PATH, find_signup, request_signup

blueprint = PageBlueprint("sign_up", __name__)

SIGN_UP: Final = "/ui/signup"
Text = Annotated[str, StringConstraints(max_length=1_024)]


class SignUpIn(Inputs):
    """The org and account requested."""

    org_name: Text = Field("", json_schema_extra=names(None))
    timezone: Text = "UTC"
    user_name: Text = Field("", json_schema_extra=names(None))
    email: Text = ""
    test_data: bool = False


class LinkIn(Inputs):
    """The link that was mailed."""

    email: Text = ""
    verification_token: Text = Field("", repr=False)


class VerifyForm(LinkIn):
    """The password, twice."""

    password_1: Text = Field("", repr=False)
    password_2: Text = Field("", repr=False)


@blueprint.route(SIGN_UP, inputs=Inputs, access=ANYONE, methods=["GET"])
def page(inputs: Inputs) -> Response:
    """Show the sign-up form, if sign-up is open."""
    del inputs
    return _form(SignUpIn())


@blueprint.route(
    SIGN_UP,
    inputs=SignUpIn,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="request_link",
    limits=("login", "mail"),
    has_own_transactions=True,
)
def request_link(inputs: SignUpIn) -> Response:
    """Mail the link; the response is the same whether or not there is an account already."""
    if not app_state().settings.signup:
        return _form(inputs)
    try:
        with transaction(write=True):
            pending = request_signup(
                inputs.email,
                inputs.user_name,
                inputs.org_name,
                inputs.timezone,
                app_state().settings.base_url,
                wants_test_data=inputs.test_data,
            )
    except AnomifyError as error:
        return _form(inputs, error)
    return _form(inputs, sent_to=pending.email)


@blueprint.route(PATH, inputs=LinkIn, access=ANYONE, methods=["GET"], endpoint="verify_page")
def verify_page(inputs: LinkIn) -> Response:
    """Show the form for the password to the owner of the mailed link."""
    return _choosing(inputs)


@blueprint.route(
    PATH,
    inputs=VerifyForm,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="verify",
    limits=("login",),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def verify(inputs: VerifyForm) -> Response:
    """Create the org and its owner, sign in, and redirect to connecting a source."""
    try:
        finish_signup(inputs.email, inputs.verification_token, inputs.password_1, inputs.password_2)
    except AnomifyError as error:
        with transaction(write=False):
            return _choosing(inputs, error)
    return make_response(redirect(CONNECT_PATH, 303))


@blueprint.route(
    "/ui/demo",
    inputs=Inputs,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("login",),
)
def demo(inputs: Inputs) -> Response:
    """Sign in to the demo org as a visitor who may change nothing."""
    del inputs
    found = next(iter(list_demo_orgs()), None)
    if found is None:
        raise NotFound("There is no demo on this server.")
    start_session(create_demo_visitor(found))
    return make_response(redirect(HOME, 303))


def _form(inputs: SignUpIn, error: AnomifyError | None = None, *, sent_to: str = "") -> Response:
    is_on = app_state().settings.signup
    page = render_template(
        "dashboard/signup.html",
        is_on=is_on,
        sent_to=sent_to,
        given=inputs,
        zones=zones(),
        faults=dict(error.fields) if error else {},
        fault_sentence=error.message if error else "",
    )
    return make_response(page, error.status if error else 200 if is_on else 403)


def _choosing(inputs: LinkIn, error: AnomifyError | None = None) -> Response:
    pending = find_signup(inputs.email, inputs.verification_token)
    page = render_template(
        "dashboard/choose_password.html",
        action="sign_up.verify",
        is_good=pending is not None,
        heading="Choose a password" if pending else "This link does not work",
        lead=f"This creates your org {pending.org_name} and signs you in." if pending else "",
        excuse="It has been used, has expired or was not copied completely.",
        again="sign_up.page",
        again_words="Sign up again",
        hidden={"email": inputs.email, "verification_token": inputs.verification_token},
        email=inputs.email,
        button="Continue",
        faults=dict(error.fields) if error else {},
        fault_sentence=error.message if error else "",
    )
    status = error.status if error else 200 if pending else 404
    return make_response(page, status)
