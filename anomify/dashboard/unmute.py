"""The button that ends the muting of the org, in the banner of every page while it is muted."""

from flask import Response, make_response, redirect

from anomify.auth.subject import user_subject
from anomify.dashboard.page_blueprint import HOME, PageBlueprint
from anomify.edge.access import ADMIN
from anomify.edge.contract import Inputs
from anomify.org.muting import mute_org

blueprint = PageBlueprint("muting", __name__)


@blueprint.route("/ui/unmute", inputs=Inputs, access=ADMIN, methods=["POST"], changes=True)
def unmute(inputs: Inputs) -> Response:
    """End the muting of the org."""
    del inputs
    caller = user_subject()
    mute_org(caller.org.id, 0, actor=caller.label)
    return make_response(redirect(HOME, code=303))
