"""How much came in and how much was refused, for the operator's metrics."""

from collections.abc import Mapping

from prometheus_client import Counter

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


def count(door: str, accepted: int, refused: Mapping[str, int]) -> None:
    """Count one request."""
    if accepted:
        ACCEPTED.labels(door).inc(accepted)
    for reason, number in refused.items():
        REFUSED.labels(door, reason).inc(number)
