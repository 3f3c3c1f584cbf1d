"""The pages to sign in and out, with a code where one is required."""

from typing import Final

from flask import Response, make_response, redirect, render_template
from pydantic import Field

from anomify.auth.session_id import sign_out, web_session
from anomify.auth.sign_in import AwaitsCode, confirm_sign_in, sign_in
from anomify.auth.subject import UserSubject, subject
from anomify.dashboard.page_blueprint import HOME, SIGN_IN, PageBlueprint, address, local_path
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError, QuotaExceeded, Unauthenticated
from anomify.org.queries import list_demo_orgs
from anomify.user.queries import needs_setup
from anomify.user.second_factor import find_attempt
from anomify.user.session import session_key

blueprint = PageBlueprint("sign_in", __name__)

SET_UP: Final = "/ui/setup"
CODE: Final = "/ui/login/code"


class SignInPageIn(Inputs):
    """The address to redirect to after signing in."""

    next: str = Field(HOME, max_length=8_192)


class SignInIn(SignInPageIn):
    """The address and password of a sign-in."""

    email: str = Field("", max_length=320)
    password: str = Field("", max_length=1_024, repr=False)


class CodePageIn(SignInPageIn):
    """The token of a mailed link that was opened in another browser."""

    token: str = Field("", max_length=64, repr=False)


class CodeIn(CodePageIn):
    """The code that completes a sign-in."""

    code: str = Field("", max_length=64)
    remember: bool = False


@blueprint.route(SIGN_IN, inputs=SignInPageIn, access=ANYONE, methods=["GET"])
def page(inputs: SignInPageIn) -> Response:
    """Show the sign-in form; redirect a user who is already signed in."""
    if isinstance(subject(), UserSubject):
        return make_response(redirect(local_path(inputs.next)))
    if needs_setup():
        return make_response(redirect(SET_UP))
    return _form(inputs.next)


@blueprint.route(
    SIGN_IN,
    inputs=SignInIn,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="enter",
    limits=("login",),
    # Comparing passwords is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def enter(inputs: SignInIn) -> Response:
    """Sign in and redirect to the requested page, or to the form for the code."""
    try:
        found = sign_in(inputs.email, inputs.password)
    except (Unauthenticated, QuotaExceeded) as error:
        with transaction(write=False):
            return _form(inputs.next, inputs.email, error)
    return after_sign_in(found, inputs.next)


@blueprint.route(CODE, inputs=CodePageIn, access=ANYONE, methods=["GET"], endpoint="code_page")
def code_page(inputs: CodePageIn) -> Response:
    """Show the form for the code; redirect a user who is already signed in."""
    if isinstance(subject(), UserSubject) and not inputs.token:
        return make_response(redirect(local_path(inputs.next)))
    return _code_form(inputs)


@blueprint.route(
    CODE,
    inputs=CodeIn,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="confirm",
    limits=("login",),
    has_own_transactions=True,
)
def confirm(inputs: CodeIn) -> Response:
    """Complete the sign-in with the code and redirect to the requested page."""
    try:
        found, _ = confirm_sign_in(inputs.code, inputs.token or None, remembers=inputs.remember)
    except (Unauthenticated, QuotaExceeded) as error:
        with transaction(write=False):
            return _code_form(inputs, error)
    return after_sign_in(found, inputs.next)


@blueprint.route(
    "/ui/logout",
    inputs=Inputs,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    limits=("write",),
)
def leave(inputs: Inputs) -> Response:
    """Sign out."""
    del inputs
    sign_out()
    return make_response(redirect(SIGN_IN, 303))


def after_sign_in(found: UserSubject | AwaitsCode, next_path: str = HOME) -> Response:
    """Redirect to the requested page, or to the form for the code."""
    wanted = local_path(next_path)
    if isinstance(found, AwaitsCode):
        return make_response(redirect(address(CODE, next="" if wanted == HOME else wanted), 303))
    return make_response(redirect(wanted, 303))


def _form(next_path: str, email: str = "", error: AnomifyError | None = None) -> Response:
    settings = app_state().settings
    page = render_template(
        "dashboard/login.html",
        next=local_path(next_path),
        email=email,
        fault=error.message if error else "",
        may_sign_up=settings.signup,
        has_demo=bool(list_demo_orgs()),
        oidc_name=settings.oidc_name if settings.oidc_issuer else None,
    )
    return _form_reply(page, error)


def _code_form(inputs: CodePageIn, error: AnomifyError | None = None) -> Response:
    attempt = find_attempt(session_key(web_session().sid or ""), inputs.token or None)
    page = render_template(
        "dashboard/code.html",
        next=local_path(inputs.next),
        token=inputs.token,
        way=attempt.way if attempt else None,
        fault=error.message if error else "",
    )
    return _form_reply(page, error)


def _form_reply(page: str, error: AnomifyError | None) -> Response:
    reply = make_response(page, error.status if error else 200)
    if error and error.retry_after_seconds is not None:
        reply.headers["Retry-After"] = str(error.retry_after_seconds)
    return reply
