"""/flux/page-events: events of web pages, sent with a key that allows nothing else.

The key is in the page, where everybody can read it. It only allows counting into the org's metrics
under `events.`. Acknowledged counts are on disk, and become datapoints when their minute is over.
"""

from typing import Final

from flask import Response, jsonify, make_response, request

from anomify.auth.token import verified_tokens
from anomify.billing.debt import check_may_write
from anomify.clock import now, now_ms
from anomify.edge.access import INGEST
from anomify.edge.app_state import app_state
from anomify.edge.contract import current_route
from anomify.edge.limits import spend
from anomify.edge.problem import Problem
from anomify.ingest import counters
from anomify.ingest import shapes as described
from anomify.ingest.wire import IngestBlueprint, read_body
from anomify.metric.name import QUOTA
from anomify.org.refused_items import Refused
from anomify.page_event.counts import add_counts
from anomify.page_event.queries import NAMES_MAX, NAMESPACE, countable_names
from anomify.protocol.batch import Refusal
from anomify.protocol.page_events import PageEvents, parse_page_events
from anomify.user.login import network_of

# A browser sends at most so much for a page that is being left.
BODY_BYTES_MAX: Final = 64 * 1024
SCOPE: Final = "events"
ROUTE: Final = "page_events"
_CROSS_ORIGIN_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class PageEventsBlueprint(IngestBlueprint):
    """A blueprint whose every reply, errors too, may be read by pages of other origins."""

    def respond(self, found: Response) -> Response:
        """Add the headers that let the page read the reply."""
        found.headers.update(_CROSS_ORIGIN_HEADERS)
        return found

    def respond_problem(self, problem: Problem) -> Response:
        """Return the error reply with the headers that let the page read it."""
        return self.respond(super().respond_problem(problem))


blueprint = PageEventsBlueprint(ROUTE, __name__, url_prefix="/flux")


@blueprint.route(
    "/events",
    access=INGEST,
    methods=["POST"],
    wire=described.PAGE_EVENTS,
    limits=("write",),
    has_own_transactions=True,
)
def events() -> Response:
    """Count what happened on a web page; 207 with a report where some could not be counted.

    Where none of it could be, the answer is 400 with the same report.

    The body is read as JSON, with any content type, so that browsers need no preflight request. An
    event `signup` of the site `shop` is counted minute by minute in the metric
    `events.shop.signup`.
    """
    events = parse_page_events(read_body(BODY_BYTES_MAX))
    address = request.remote_addr or ""
    holder = verified_tokens().holder(events.key, SCOPE, address)
    route = current_route()
    if route is not None:
        # Counted separately from requests of the org's users and machines.
        network = network_of(address)
        spend(route, (ROUTE, holder.org_id, network), (ROUTE, holder.org_id), network)
    check_may_write(holder.overdue_since, now())
    counted, refused = _count(holder.org_id, events)
    kinds: dict[str, Refused] = {}
    for one in refused:
        kinds.setdefault(one.kind, Refused(0, one.metric, one.reason)).items += 1
    counters.count(ROUTE, holder.org_id, counted, kinds)
    if not refused:
        return make_response("", 204)
    report = {
        "status": "partly counted" if counted else "nothing was counted",
        "rejected": [{"name": one.metric, "reason": one.reason} for one in refused],
    }
    return make_response(jsonify(report), 207 if counted else 400)


def _count(org_id: int, events: PageEvents) -> tuple[int, list[Refusal]]:
    """Count the events; return how many names were counted, and the refusals of the others."""
    over: dict[str, str] = {}
    wanted = {name: f"{NAMESPACE}.{events.site}.{name}" for name in events.counts}
    with app_state().database.unit_of_work(write=False):
        fitting = countable_names(org_id, wanted.values())
    for name, metric in wanted.items():
        if metric not in fitting:
            over[name] = f"an org has at most {NAMES_MAX} metrics of events"
    keys = {metric.encode(): metric for name, metric in wanted.items() if name not in over}
    registered = app_state().registry.register(org_id, keys)
    counts = {}
    for name, metric in wanted.items():
        key = metric.encode()
        if key in registered.ids:
            counts[registered.ids[key]] = events.counts[name]
        elif key in registered.refused:
            over[name] = str(registered.refused[key])
    if counts:
        with app_state().database.unit_of_work():
            add_counts(counts, now_ms())
    full = [Refusal(0, name, reason, QUOTA) for name, reason in over.items()]
    return len(counts), [*events.refused, *full]
