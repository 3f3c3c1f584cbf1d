"""The page behind the link in a letter: the owner of an address agrees to get messages, or not."""

from flask import Response, make_response, render_template
from pydantic import Field

from anomify.contact_point.confirmation import PATH, find_by_token
from anomify.contact_point.model import ContactPoint
from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.edge.access import ANYONE
from anomify.edge.contract import Inputs
from anomify.errors import NotFound
from anomify.org.queries import get_org
from anomify.watcher.contact_changes import confirm_address, withdraw_address

blueprint = PageBlueprint("contact_confirmation", __name__)


class LinkIn(Inputs):
    """The token of the link."""

    token: str = Field("", max_length=200, description="The token in the link.", repr=False)


class AnswerForm(LinkIn):
    """Whether the owner of the address agrees."""

    agrees: bool = Field(default=False, description="Whether messages may be sent.")


@blueprint.route(PATH, inputs=LinkIn, access=ANYONE, methods=["GET"])
def page(inputs: LinkIn) -> Response:
    """Show who wants to send messages; opening the link confirms nothing."""
    try:
        return _page(inputs.token, find_by_token(inputs.token))
    except NotFound as problem:
        return _page(inputs.token, None, problem)


@blueprint.route(
    PATH,
    inputs=AnswerForm,
    access=ANYONE,
    changes=True,
    methods=["POST"],
    endpoint="answer",
    limits=("login",),
)
def answer(inputs: AnswerForm) -> Response:
    """Store the answer of the owner of the address."""
    change = confirm_address if inputs.agrees else withdraw_address
    try:
        return _page(inputs.token, change(inputs.token))
    except NotFound as problem:
        return _page(inputs.token, None, problem)


def _page(token: str, point: ContactPoint | None, problem: NotFound | None = None) -> Response:
    page_text = render_template(
        "dashboard/contact_confirmation.html",
        token=token,
        org_name="" if point is None else get_org(point.org_id).name,
        by="" if point is None else point.created_by,
        is_confirmed=point is not None and point.confirmed_at is not None,
        fault_sentence="" if problem is None else problem.message,
    )
    return make_response(page_text, 200 if problem is None else problem.status)
