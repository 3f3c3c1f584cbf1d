"""The size of an anomaly, and how often similar ones were seen, in words."""

from anomify.anomaly.model import Span
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import describe_amount
from anomify.metric.status import in_words


def amount_in_words(span: Span) -> str:
    """Return how far the highest point is off in words; empty where its evidence has no size."""
    # Anomalies of an older version may have evidence that does not exist any more.
    evidence = Evidence.__members__.get(span.evidence.upper())
    if evidence is None or span.amount is None:
        return ""
    return describe_amount(evidence, span.amount)


def seen_before_in_words(span: Span) -> str:
    """Return in a sentence how often the metric had anomalies with the same evidence before."""
    if span.similar_ms is None or not span.similar_before:
        return "Nothing like it was seen on this metric before."
    times = "once" if span.similar_before == 1 else f"{span.similar_before:,} times"
    earlier = in_words(span.started_ms - span.similar_ms)
    last = "" if span.similar_before == 1 else "the last time "
    return f"Similar was seen {times} before, {last}{earlier} earlier."
