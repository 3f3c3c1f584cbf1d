"""/doc: the OpenAPI document of the API, its reference page, and the pages of the guide."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal, cast

from flask import Response, current_app, make_response, render_template, request
from pydantic import BaseModel, Field

from anomify.edge.access import PUBLIC
from anomify.edge.app_state import app_state
from anomify.edge.contract import PAGE_MEDIA, DeclaredReply, Inputs, Wire, declared_routes
from anomify.edge.limits import RATES
from anomify.edge.openapi.document import Title, describe
from anomify.edge.openapi.schemas import FAILURES
from anomify.edge.strict_json import encode
from anomify.errors import NotFound
from anomify.native.envelope import NativeBlueprint

blueprint = NativeBlueprint("doc", __name__)

DESCRIPTION_KEY: Final = "anomify_openapi"
# The groups of addresses by their first word, in the order in which a new user needs them.
GROUPS: Final = {
    "flux": "Send points: JSON, Telegraf's JSON, Prometheus remote write.",
    "metrics": "Search, browse and rank metrics.",
    "metric": "One metric: state, points, expected range, picture, settings.",
    "anomalies": "Lists of anomalies.",
    "anomaly": "One anomaly; train it as expected or unexpected.",
    "incidents": "Lists of incidents.",
    "incident": "One incident: anomalies that belong together, and what was told of them.",
    "patterns": "Lists of patterns, also of those that are still to be made.",
    "pattern": "One pattern: what was learnt, its matches, whether it is used.",
    "matches": "Lists of matches: what patterns have explained.",
    "match": "One match, what people say of it, and its pictures.",
    "watchers": "Lists of watchers.",
    "watcher": "Create, change and delete watchers, which notify people.",
    "silences": "Lists of silences.",
    "silence": "Times in which nobody is notified about some metrics, and maintenance.",
    "contact_points": "Lists of contact points, and of the kinds that there are.",
    "contact_point": "Create, test, change and delete contact points: where messages are sent.",
    "deliveries": "The alerts log: messages with every attempt and answer.",
    "delivery": "One message; send one again that was given up.",
    "image": "Pictures, also by signed links for mails and other pages.",
    "exclusion": "Metrics that are stored and not judged.",
    "org": "Your org: its users, tokens, events, quota and summary.",
    "user": "The signed-in user.",
    "login": "Sign in.",
    "signup": "Create an account and an org.",
    "billing": "Plan, checkout and invoices.",
    "js": "A script that sends events of web pages.",
    "misc": "Lists and texts for forms.",
    "ping": "Check whether the server answers.",
    "status": "The state of the components.",
    "doc": "The documentation of the API.",
    "operators": "For load balancers and operators.",
}
# Pages that belong to no group, by the last part of their path.
CHAPTERS: Final = {
    "start": "Start here",
    "credentials": "Sessions and tokens",
    "requests": "Parameters and times",
    "errors": "Errors and limits",
}
# A part of an address between < and > names an input; it is shown as {input}.
_PLACEHOLDER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
TITLES: Final = {
    "flux": "Sending points",
    "metric": "Metrics",
    "anomaly": "Anomalies",
    "incident": "Incidents",
    "pattern": "Patterns",
    "match": "Matches",
    "watcher": "Watchers",
    "silence": "Silences",
    "contact_point": "Contact points",
    "delivery": "Messages",
    "image": "Pictures",
    "exclusion": "Exclusions",
    "org": "Your org",
    "user": "Your account",
    "login": "Signing in",
    "signup": "Signing up",
    "billing": "Billing",
    "js": "Events of web pages",
    "doc": "This documentation",
    "ping": "Health and lists",
}
# Groups that are documented on the page of another group.
_DOCUMENTED_WITH: Final = {
    "metrics": "metric",
    "anomalies": "anomaly",
    "incidents": "incident",
    "deliveries": "delivery",
    "patterns": "pattern",
    "matches": "match",
    "watchers": "watcher",
    "silences": "silence",
    "contact_points": "contact_point",
}
_SHARED: Final = {"status": "ping", "operators": "ping", "misc": "ping"}
_CACHED: Final = "public, max-age=0, must-revalidate"


@dataclass(frozen=True)
class Endpoint:
    """A route as the tables of the guide show it."""

    shown_rules: tuple[str, ...]
    summary: str


class OpenApiOut(BaseModel):
    """An OpenAPI 3.1 document, without the envelope."""

    openapi: Literal["3.1.0"] = Field(description="The version of OpenAPI.")
    info: dict[str, object] = Field(description="Title, version and description of the API.")
    paths: dict[str, object] = Field(description="The operations by path.")
    components: dict[str, object] = Field(description="The schemas.")


class GuideIn(Inputs):
    """The page of the guide."""

    page: str = Field(max_length=40, description="The page: a group's first word, or a chapter.")


@blueprint.route(
    "/doc/openapi",
    inputs=Inputs,
    access=PUBLIC,
    has_own_transactions=True,
    wire=Wire(
        replies=(
            DeclaredReply(200, "The document.", "application/json", (OpenApiOut,)),
            DeclaredReply(304, "The document has not changed since the ETag that was sent."),
        )
    ),
)
def openapi(inputs: Inputs) -> Response:
    """Return the OpenAPI 3.1 document of the whole API as plain JSON, without the envelope."""
    del inputs
    body, etag = _description()
    reply = Response(body, mimetype="application/json")
    if request.if_none_match.contains(etag):
        reply = Response(status=304)
    reply.set_etag(etag)
    reply.headers["Cache-Control"] = _CACHED
    return reply


@blueprint.route(
    "/doc",
    "/doc/",
    inputs=Inputs,
    access=PUBLIC,
    media=PAGE_MEDIA,
    methods=["GET"],
    has_own_transactions=True,
)
def reference(inputs: Inputs) -> Response:
    """Show every endpoint with a form to try it."""
    del inputs
    return _page("doc/reference.html")


@blueprint.route(
    "/doc/guide",
    inputs=Inputs,
    access=PUBLIC,
    media=PAGE_MEDIA,
    methods=["GET"],
    has_own_transactions=True,
)
def guide(inputs: Inputs) -> Response:
    """Show the first page of the guide."""
    del inputs
    return _page("doc/guide/start.html")


@blueprint.route(
    "/doc/guide/<page>",
    inputs=GuideIn,
    access=PUBLIC,
    media=PAGE_MEDIA,
    methods=["GET"],
    has_own_transactions=True,
)
def guide_page(inputs: GuideIn) -> Response:
    """Show a page of the guide, with examples that can be run unchanged."""
    if inputs.page not in guide_pages():
        raise NotFound("The guide has no such page; /doc/guide lists them.")
    return _page(f"doc/guide/{inputs.page}.html", page=inputs.page)


@blueprint.route(
    "/doc/detection",
    inputs=Inputs,
    access=PUBLIC,
    media=PAGE_MEDIA,
    methods=["GET"],
    has_own_transactions=True,
)
def detection(inputs: Inputs) -> Response:
    """Show how detection works and how it compares."""
    del inputs
    return _page("doc/detection.html", page="detection")


def guide_pages() -> Mapping[str, str]:
    """Return the pages of the guide in order: the last word of the address of each, and its title.

    A group without routes has no page.
    """
    tags = {route.tag for route in declared_routes(current_app).values() if not route.is_page}
    pages = {tag: _SHARED.get(tag, _DOCUMENTED_WITH.get(tag, tag)) for tag in GROUPS if tag in tags}
    return CHAPTERS | {page: TITLES[page] for page in dict.fromkeys(pages.values())}


def endpoints_of(group: str) -> list[Endpoint]:
    """Return the endpoints of a group, sorted by path."""
    return sorted(
        (
            Endpoint(tuple(_PLACEHOLDER.sub(r"{\1}", rule) for rule in route.rules), route.summary)
            for route in declared_routes(current_app).values()
            if route.tag == group and not route.is_page
        ),
        key=lambda endpoint: endpoint.shown_rules,
    )


def _page(template: str, **known: object) -> Response:
    page = render_template(
        template,
        pages=guide_pages(),
        groups=GROUPS,
        endpoints_of=endpoints_of,
        failures=FAILURES,
        rates=RATES,
        **known,
    )
    reply = make_response(page)
    reply.headers["Cache-Control"] = _CACHED
    return reply


def _description() -> tuple[bytes, str]:
    """Return the document and its ETag; computed once, because it never changes."""
    kept = current_app.extensions.get(DESCRIPTION_KEY)
    if kept is None:
        body = encode(
            describe(
                declared_routes(current_app).values(),
                Title(
                    name="Anomify",
                    version=version("anomify"),
                    description=render_template("doc/description.md"),
                    groups=GROUPS,
                    has_session_parameter=app_state().settings.legacy_session_param,
                ),
            )
        )
        kept = (body, hashlib.sha256(body).hexdigest()[:32])
        current_app.extensions[DESCRIPTION_KEY] = kept
    return cast("tuple[bytes, str]", kept)
