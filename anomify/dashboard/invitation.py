"""The page that the link of an invitation opens: choose a password, and be in."""

from flask import Response, make_response, redirect, render_template
from pydantic import Field

from anomify.auth.joining import join_with_password
from anomify.dashboard.door import HOME, PageDoor
from anomify.edge.contract import Access, Inputs, names
from anomify.edge.house import house
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.user.invitation import PATH, bad_link, find_invitation

door = PageDoor("invitation", __name__)


class LinkIn(Inputs):
    """The link, by its secret."""

    token: str = Field("", max_length=200, description="The token in the link.", repr=False)


class AcceptIn(LinkIn):
    """Who opens it."""

    name: str = Field("", max_length=1_024, description="A name.", json_schema_extra=names(None))
    password: str = Field("", max_length=1_024, description="A password.", repr=False)


@door.route(PATH, inputs=LinkIn, access=Access.ANYONE, methods=["GET"])
def page(wish: LinkIn) -> Response:
    """Ask the invited for a password; opening the link uses nothing up."""
    return _form(AcceptIn(token=wish.token))


@door.route(
    PATH,
    inputs=AcceptIn,
    access=Access.ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="accept",
    limits=("login",),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def accept(wish: AcceptIn) -> Response:
    """Make the account, sign in, and go to the first page."""
    try:
        join_with_password(wish.token, wish.name, wish.password)
    except AnomifyError as error:
        with transaction(write=False):
            return _form(wish, error)
    return make_response(redirect(HOME, 303))


def _form(wish: AcceptIn, error: AnomifyError | None = None) -> Response:
    found = find_invitation(wish.token)
    if found is None:
        error = bad_link()
    settings = house().settings
    page = render_template(
        "dashboard/invitation.html",
        token=wish.token,
        invitation=found[0] if found else None,
        org=found[1] if found else None,
        name=wish.name or (found[0].name if found else ""),
        elsewhere=settings.oidc_name if settings.oidc_issuer else None,
        faults=dict(error.fields) if error else {},
        fault_sentence=error.message if error else "",
    )
    return make_response(page, error.status if error else 200)
