"""Find the watchers that match a metric at a severity."""

from anomify.anomaly.recording import SEVERITIES
from anomify.metric.chip import folded, is_matched
from anomify.metric.folding import fold
from anomify.watcher.model import Watcher
from anomify.watcher.queries import all_watchers, list_alerting_watchers


def is_about(watcher: Watcher, metric_name: str) -> bool:
    """Return whether a watcher watches the metric with this name."""
    return is_matched(folded(watcher.chips), fold(metric_name))


def is_told(watcher: Watcher, metric_name: str, severity: str, found_by: int) -> bool:
    """Return whether a watcher notifies of an anomaly of this metric and severity.

    `found_by` is the watcher whose threshold has found it, 0 for the engine. What a threshold
    finds is told by its own watcher only, and that tells nothing else.
    """
    if found_by or watcher.threshold_operator is not None:
        return watcher.id == found_by
    is_severe = SEVERITIES.index(severity) >= SEVERITIES.index(watcher.severity)
    return is_severe and is_about(watcher, metric_name)


def watchers_of(org_id: int, metric_name: str) -> list[Watcher]:
    """Return the watchers about a metric, oldest first, whether they send notifications or not."""
    name = fold(metric_name)
    return [watcher for watcher in all_watchers(org_id) if is_matched(folded(watcher.chips), name)]


def watchers_for(org_id: int, metric_name: str, severity: str) -> list[Watcher]:
    """Return the watchers that notify of what the engine finds, oldest first.

    It is of this severity, and however recently they notified is not considered.
    """
    name, rank = fold(metric_name), SEVERITIES.index(severity)
    return [
        watcher
        for watcher in list_alerting_watchers(org_id)
        if rank >= SEVERITIES.index(watcher.severity)
        and watcher.threshold_operator is None
        and is_matched(folded(watcher.chips), name)
    ]
