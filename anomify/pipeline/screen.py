"""Screen candidates: return for each what explains it, or that it is anomalous."""

from collections.abc import Iterable

import numpy as np

from anomify.anomaly.queries import open_spans_of_excluded
from anomify.anomaly.recording import close_anomaly
from anomify.delivery.enqueue import withdraw
from anomify.exclusion.queries import changes_so_far, exclusions_of_metrics
from anomify.pipeline.verdict import Anomalous, Excluded, ScreenResult
from anomify.series import Bools, Int64s, lengthened

_UNKNOWN = -1
_NOT_EXCLUDED = 0
# The value of `changes_so_far` where no exclusion was ever made.
_NO_CHANGES = (0, 0)


class Screen:
    """Screens metrics by the exclusion rules as of the last `reload`; for use by one thread.

    A metric is looked up when its first point comes, and again when rules have changed: a tick in
    which nothing changed costs one small query, whatever the number of metrics. All methods only
    read, inside a unit of work, so that they can run before a write transaction.
    """

    def __init__(self) -> None:
        """Start with an empty cache; call `reload` before the first question."""
        self._changes = _NO_CHANGES
        # By metric id: the id of the rule that excludes it, _NOT_EXCLUDED or _UNKNOWN.
        self._excluded_by = np.zeros(0, np.int64)

    def reload(self) -> bool:
        """Drop the cache if rules have changed since the last call; return whether they have."""
        changes = changes_so_far()
        if changes == self._changes:
            return False
        self._changes = changes
        self._excluded_by[:] = _UNKNOWN
        return True

    def screen(self, metric_ids: Iterable[int]) -> list[ScreenResult]:
        """Return for the candidate of each of these metrics what explains it.

        The first explanation counts; a candidate that has none is anomalous.
        """
        rules = self._rules_of(np.fromiter(metric_ids, np.int64)).tolist()
        return [Anomalous() if rule == _NOT_EXCLUDED else Excluded(rule) for rule in rules]

    def are_excluded(self, metric_ids: Int64s) -> Bools:
        """Return for each of the metrics whether a rule excludes it: its points are not judged."""
        excluded: Bools = self._rules_of(metric_ids) != _NOT_EXCLUDED
        return excluded

    def _rules_of(self, metric_ids: Int64s) -> Int64s:
        """Return for each of the metrics the id of the rule that excludes it, or _NOT_EXCLUDED."""
        if self._changes == _NO_CHANGES:
            return np.full(len(metric_ids), _NOT_EXCLUDED, np.int64)
        self._excluded_by = lengthened(
            self._excluded_by, int(metric_ids.max(initial=0)) + 1, _UNKNOWN
        )
        unknown = np.unique(metric_ids[self._excluded_by[metric_ids] == _UNKNOWN])
        self._excluded_by[unknown] = _NOT_EXCLUDED
        found = exclusions_of_metrics(unknown.tolist())
        self._excluded_by[list(found)] = list(found.values())
        rules: Int64s = self._excluded_by[metric_ids]
        return rules


def close_excluded() -> None:
    """Close the open anomalies of metrics that are excluded now, without an announcement.

    Their values did not return to normal, so no recovery is sent, and messages about them that
    wait to be sent are withdrawn.
    """
    for span in open_spans_of_excluded():
        close_anomaly(span)
        withdraw(span.anomaly_id)
