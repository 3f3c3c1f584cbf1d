"""Signing in and out."""

from typing import Final

from flask import Response, make_response, redirect, render_template
from pydantic import Field

from anomify.auth.session_id import sign_out
from anomify.auth.signing_in import sign_in
from anomify.auth.subject import UserSubject, subject
from anomify.dashboard.door import HOME, SIGN_IN, PageDoor, local_path
from anomify.edge.contract import Access, Inputs
from anomify.errors import AnomifyError, QuotaExceeded, Unauthenticated
from anomify.user.queries import needs_setup

door = PageDoor("sign_in", __name__)

SET_UP: Final = "/ui/setup"


class SignInPageIn(Inputs):
    """Where to go once signed in."""

    next: str = Field(HOME, max_length=8_192)


class SignInIn(SignInPageIn):
    """Who wants to sign in."""

    email: str = Field("", max_length=320)
    password: str = Field("", max_length=1_024, repr=False)


@door.route(SIGN_IN, inputs=SignInPageIn, access=Access.ANYONE, methods=["GET"])
def page(wish: SignInPageIn) -> Response:
    """Ask who is there; whoever is signed in already is led on."""
    if isinstance(subject(), UserSubject):
        return make_response(redirect(local_path(wish.next)))
    if needs_setup():
        return make_response(redirect(SET_UP))
    return _form(wish.next)


@door.route(
    SIGN_IN,
    inputs=SignInIn,
    access=Access.ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="enter",
    # Comparing passwords is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def enter(wish: SignInIn) -> Response:
    """Sign in and go on to where the reader wanted to be."""
    try:
        sign_in(wish.email, wish.password)
    except (Unauthenticated, QuotaExceeded) as error:
        return _form(wish.next, wish.email, error)
    return make_response(redirect(local_path(wish.next), 303))


@door.route(
    "/ui/logout",
    inputs=Inputs,
    access=Access.ANYONE,
    changes=True,
    methods=["POST"],
    limits=("write",),
)
def leave(wish: Inputs) -> Response:
    """Sign out."""
    del wish
    sign_out()
    return make_response(redirect(SIGN_IN, 303))


def _form(next_path: str, email: str = "", error: AnomifyError | None = None) -> Response:
    page = render_template(
        "dashboard/login.html",
        next=local_path(next_path),
        email=email,
        fault=error.message if error else "",
    )
    reply = make_response(page, error.status if error else 200)
    if error and error.retry_after_seconds is not None:
        reply.headers["Retry-After"] = str(error.retry_after_seconds)
    return reply
