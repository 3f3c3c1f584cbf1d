"""Install the request middleware: limits, request ids, headers and error replies."""

from flask import Flask
from werkzeug.routing import PathConverter

from anomify.edge import compression, cors, headers, limits, problem, proxies, request_id
from anomify.edge import request_counts as counting
from anomify.edge.app_state import AppState, set_app_state
from anomify.edge.bounded_request import BoundedRequest
from anomify.edge.strict_json import StrictJson

# For every body except those of ingestion, which have limits of their own.
BODY_BYTES_MAX = 1024 * 1024
FORM_PARTS_MAX = 1000


class AnyPath(PathConverter):
    """A part of an address that may contain slashes, also at its start, as names of metrics do."""

    regex = ".+?"
    part_isolating = False


def install(app: Flask, app_state: AppState) -> None:
    """Prepare the app. Call it before blueprints are registered: names in paths may hold `//`."""
    set_app_state(app, app_state)
    app.request_class = BoundedRequest
    app.url_map.merge_slashes = False
    app.url_map.converters = {**app.url_map.converters, "path": AnyPath}
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_BYTES_MAX
    app.config["MAX_FORM_PARTS"] = FORM_PARTS_MAX
    app.json = StrictJson(app)
    compression.install(app)
    request_id.install(app)
    proxies.install(app, app_state.settings)
    counting.install(app)
    limits.install(app, limits.RateLimits(app_state.settings.rate_limits))
    headers.install(app, app_state.settings)
    cors.install(app, app_state.settings)
    problem.install(app)
