"""The page of an invitation: choose a password and join the org."""

from flask import Response, make_response, redirect, render_template
from pydantic import Field

from anomify.auth.accept_invitation import join_with_password
from anomify.dashboard.page_blueprint import HOME, PageBlueprint
from anomify.edge.access import ANYONE
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs, names
from anomify.edge.transaction import transaction
from anomify.errors import AnomifyError
from anomify.user.invitation import PATH, bad_link, find_invitation

blueprint = PageBlueprint("invitation", __name__)


class LinkIn(Inputs):
    """The secret of the invitation link."""

    token: str = Field("", max_length=200, description="The token in the link.", repr=False)


class AcceptForm(LinkIn):
    """The name and password of the new account."""

    name: str = Field("", max_length=1_024, description="A name.", json_schema_extra=names(None))
    password: str = Field("", max_length=1_024, description="A password.", repr=False)


@blueprint.route(PATH, inputs=LinkIn, access=ANYONE, methods=["GET"])
def page(inputs: LinkIn) -> Response:
    """Show the form for the password; opening the link does not use it up."""
    return _form(AcceptForm(token=inputs.token))


@blueprint.route(
    PATH,
    inputs=AcceptForm,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="accept",
    limits=("login",),
    # Hashing is slow on purpose and must not hold a lock.
    has_own_transactions=True,
)
def accept(inputs: AcceptForm) -> Response:
    """Create the account, sign in, and redirect to the first page."""
    try:
        join_with_password(inputs.token, inputs.name, inputs.password)
    except AnomifyError as error:
        with transaction(write=False):
            return _form(inputs, error)
    return make_response(redirect(HOME, 303))


def _form(inputs: AcceptForm, error: AnomifyError | None = None) -> Response:
    found = find_invitation(inputs.token)
    if found is None:
        error = bad_link()
    settings = app_state().settings
    page = render_template(
        "dashboard/invitation.html",
        token=inputs.token,
        invitation=found[0] if found else None,
        org=found[1] if found else None,
        name=inputs.name or (found[0].name if found else ""),
        oidc_name=settings.oidc_name if settings.oidc_issuer else None,
        faults=dict(error.fields) if error else {},
        fault_sentence=error.message if error else "",
    )
    return make_response(page, error.status if error else 200)
