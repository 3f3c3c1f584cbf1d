"""The button of the banner that every page has while the org is muted."""

from flask import Response, make_response, redirect

from anomify.auth.subject import user_subject
from anomify.dashboard.door import HOME, PageDoor
from anomify.edge.contract import Access, Inputs
from anomify.org.muting import mute_org

door = PageDoor("muting", __name__)


@door.route("/ui/unmute", inputs=Inputs, access=Access.ADMIN, methods=["POST"], changes=True)
def unmute(wish: Inputs) -> Response:
    """Let people be told again."""
    del wish
    asker = user_subject()
    mute_org(asker.org.id, 0, actor=asker.label)
    return make_response(redirect(HOME, code=303))
