"""Who hears: the watchers that asked about a metric at this severity."""

from anomify.anomaly.recording import SEVERITIES
from anomify.metric.chip import folded, is_matched
from anomify.metric.folding import fold
from anomify.watcher.model import Watcher
from anomify.watcher.queries import all_watchers, list_alerting_watchers


def watchers_of(org_id: int, metric_name: str) -> list[Watcher]:
    """Return the watchers about a metric, oldest first, whether they tell anybody or not."""
    name = fold(metric_name)
    return [watcher for watcher in all_watchers(org_id) if is_matched(folded(watcher.chips), name)]


def watchers_for(org_id: int, metric_name: str, severity: str) -> list[Watcher]:
    """Return those who want to be told, oldest first; whether they just were is not asked here."""
    name, rank = fold(metric_name), SEVERITIES.index(severity)
    return [
        watcher
        for watcher in list_alerting_watchers(org_id)
        if rank >= SEVERITIES.index(watcher.severity) and is_matched(folded(watcher.chips), name)
    ]
