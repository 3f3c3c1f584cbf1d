"""Select the org's events to show on the chart of a metric."""

from anomify.clock import datetime_from_ms
from anomify.metric.chip import folded, is_matched
from anomify.metric.model import Metric
from anomify.org.event import DRAWN_MAX, list_events
from anomify.org.model import OrgEvent


def events_on(metric: Metric, from_ms: int, until_ms: int) -> list[OrgEvent]:
    """Return the events of a window that are about this metric or about all, oldest first.

    Only the newest two hundred events of the window are considered.
    """
    found = list_events(
        metric.org_id,
        from_at=datetime_from_ms(from_ms),
        until_at=datetime_from_ms(until_ms),
        limit=DRAWN_MAX,
    )
    name = metric.folded_name
    return [event for event in reversed(found.items) if is_matched(folded(event.chips), name)]
