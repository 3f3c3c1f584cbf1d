"""/js: the script that pages of other sites load to count their events."""

import hashlib
from pathlib import Path
from typing import Final

from flask import Response, current_app, request

from anomify.edge.access import PUBLIC
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("js", __name__)

SCRIPT: Final = "js/eventsender.js"
CACHED_SECONDS: Final = 3600


@blueprint.route(
    "/js/eventsender",
    access=PUBLIC,
    methods=["GET"],
    media="text/javascript",
    has_own_transactions=True,
)
def eventsender() -> Response:
    """Return the script with which a web page counts its events; it is the same for every caller.

    It has no data of the caller, so another site that loads it learns nothing. Load it with
    `data-key`, a token whose only scope is `events`, and `data-site`, one word; it then sends
    what `anomify.count("signup")` counted to `/flux/events`.
    """
    script = (Path(current_app.static_folder or "") / SCRIPT).read_bytes()
    reply = Response(script, mimetype="text/javascript")
    reply.set_etag(hashlib.sha256(script).hexdigest()[:32])
    reply.cache_control.public = True
    reply.cache_control.max_age = CACHED_SECONDS
    reply.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    reply.make_conditional(request)
    return reply
