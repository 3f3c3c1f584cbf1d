"""The page behind the link in a mail that stops the mails of a watcher to its recipient."""

from flask import Response, make_response, render_template
from pydantic import Field

from anomify.dashboard.page_blueprint import PageBlueprint
from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import Inputs
from anomify.errors import Conflict, NotFound
from anomify.org.queries import get_org
from anomify.watcher.unsubscribing import (
    KEY_PURPOSE,
    PATH,
    MailSubscription,
    find_subscription,
    subscribe_again,
    unsubscribe,
    unsubscribe_token,
)

blueprint = PageBlueprint("unsubscribe", __name__)


class LinkIn(Inputs):
    """The token of the link."""

    token: str = Field("", max_length=200, description="The token in the link.", repr=False)


class AnswerForm(LinkIn):
    """Whether the mails are stopped, or sent again."""

    again: bool = Field(default=False, description="They are sent again.")
    # Mail programs post this when somebody presses their own button (RFC 8058).
    one_click: str = Field(
        "", max_length=100, validation_alias="List-Unsubscribe", description="One-Click"
    )


@blueprint.route(PATH, inputs=LinkIn, access=PUBLIC, methods=["GET"])
def page(inputs: LinkIn) -> Response:
    """Show which mails the link stops; opening it stops none, because programs open links, too."""
    try:
        return _page(find_subscription(_key(), inputs.token))
    except NotFound as problem:
        return _page(None, problem)


@blueprint.route(
    PATH,
    inputs=AnswerForm,
    access=PUBLIC,
    changes=True,
    methods=["POST"],
    endpoint="answer",
)
def answer(inputs: AnswerForm) -> Response:
    """Stop the mails, or send them again."""
    change = subscribe_again if inputs.again else unsubscribe
    try:
        return _page(change(_key(), inputs.token), is_changed=True)
    except (NotFound, Conflict) as problem:
        return _page(None, problem)


def _page(
    mails: MailSubscription | None,
    problem: NotFound | Conflict | None = None,
    *,
    is_changed: bool = False,
) -> Response:
    token = ""
    if mails is not None:
        token = unsubscribe_token(_key(), mails.watcher.id, mails.contact_point.id, mails.step)
    page_text = render_template(
        "dashboard/unsubscribe.html",
        mails=mails,
        token=token,
        org_name="" if mails is None else get_org(mails.watcher.org_id).name,
        is_changed=is_changed,
        fault_sentence="" if problem is None else problem.message,
    )
    return make_response(page_text, 200 if problem is None else problem.status)


def _key() -> bytes:
    return app_state().settings.key_for(KEY_PURPOSE)
