"""How much came in and how much was refused: for the operator's metrics, and for the org."""

from collections.abc import Mapping

from prometheus_client import Counter

from anomify.clock import now_ms
from anomify.edge.house import house
from anomify.org.refused_items import Refused

ACCEPTED = Counter(
    "anomify_ingest_accepted_datapoints",
    "Datapoints that were stored, by the door they came in.",
    ("door",),
)
REFUSED = Counter(
    "anomify_ingest_refused_items",
    "Items that were not stored, by the door and the kind of reason.",
    ("door", "reason"),
)


def count(door: str, org_id: int, accepted: int, refused: Mapping[str, Refused]) -> None:
    """Count what became of one request of an org."""
    if accepted:
        ACCEPTED.labels(door).inc(accepted)
    if not refused:
        return
    for kind, one in refused.items():
        REFUSED.labels(door, kind).inc(one.items)
    house().refused.add(org_id, door, refused, now_ms())
