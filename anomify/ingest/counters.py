"""Count accepted datapoints and refused items, for the operator's metrics and for the org."""

from collections.abc import Mapping

from prometheus_client import Counter

from anomify.clock import now_ms
from anomify.edge.app_state import app_state
from anomify.org.refused_items import Refused

ACCEPTED = Counter(
    "anomify_ingest_accepted_datapoints",
    "Datapoints that were stored, by the route they were sent to.",
    ("route",),
)
REFUSED = Counter(
    "anomify_ingest_refused_items",
    "Items that were not stored, by the route and the kind of reason.",
    ("route", "reason"),
)


def count(blueprint: str, org_id: int, accepted: int, refused: Mapping[str, Refused]) -> None:
    """Count the accepted and refused items of one request of an org."""
    if accepted:
        ACCEPTED.labels(blueprint).inc(accepted)
    if not refused:
        return
    for kind, one in refused.items():
        REFUSED.labels(blueprint, kind).inc(one.items)
    app_state().refused.add(org_id, blueprint, refused, now_ms())
