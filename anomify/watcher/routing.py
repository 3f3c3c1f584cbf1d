"""Find the watchers that match a metric at a severity."""

from anomify.anomaly.recording import SEVERITIES
from anomify.metric.chip import folded, is_matched
from anomify.metric.folding import fold
from anomify.watcher.model import Watcher
from anomify.watcher.queries import all_watchers, list_alerting_watchers


def is_about(watcher: Watcher, metric_name: str) -> bool:
    """Return whether a watcher watches the metric with this name."""
    return is_matched(folded(watcher.chips), fold(metric_name))


def watchers_of(org_id: int, metric_name: str) -> list[Watcher]:
    """Return the watchers about a metric, oldest first, whether they send notifications or not."""
    name = fold(metric_name)
    return [watcher for watcher in all_watchers(org_id) if is_matched(folded(watcher.chips), name)]


def watchers_for(org_id: int, metric_name: str, severity: str) -> list[Watcher]:
    """Return the watchers that notify of this severity, oldest first, however recently they did."""
    name, rank = fold(metric_name), SEVERITIES.index(severity)
    return [
        watcher
        for watcher in list_alerting_watchers(org_id)
        if rank >= SEVERITIES.index(watcher.severity) and is_matched(folded(watcher.chips), name)
    ]
