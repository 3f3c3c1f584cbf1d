"""What is kept from being judged: the points of metrics that a rule excludes."""

import numpy as np

from anomify.anomaly.queries import open_spans_of_excluded
from anomify.anomaly.recording import close_anomaly
from anomify.delivery.outbox import withdraw
from anomify.exclusion.queries import changes_so_far, excluded_among
from anomify.series import Bools, Int64s, lengthened

_UNKNOWN = -1
_JUDGED = 0
_EXCLUDED = 1
# Nobody has ever excluded anything.
_NO_CHANGES = (0, 0)


class Screen:
    """Which metrics are excluded, as of the last look; one thread uses it.

    A metric is looked up once, when a point of it comes, and once more when rules have changed: a
    tick in which nothing changed costs one small query, whatever the number of metrics.
    """

    def __init__(self) -> None:
        """Know nothing yet; `look` before the first question."""
        self._changes = _NO_CHANGES
        self._known = np.zeros(0, np.int64)

    def look(self) -> bool:
        """Tell, inside a unit of work, whether rules have changed since the last look."""
        changes = changes_so_far()
        if changes == self._changes:
            return False
        self._changes = changes
        self._known[:] = _UNKNOWN
        return True

    def excludes(self, metric_ids: Int64s) -> Bools:
        """Tell, inside a unit of work, of each of the metrics whether it is excluded."""
        if self._changes == _NO_CHANGES:
            return np.zeros(len(metric_ids), bool)
        self._known = lengthened(self._known, int(metric_ids.max(initial=0)) + 1, _UNKNOWN)
        strangers = np.unique(metric_ids[self._known[metric_ids] == _UNKNOWN])
        self._known[strangers] = _JUDGED
        self._known[excluded_among(strangers.tolist())] = _EXCLUDED
        excluded: Bools = self._known[metric_ids] == _EXCLUDED
        return excluded


def end_excluded() -> None:
    """Close the open anomalies of metrics that are excluded now, and tell nobody.

    Nothing came back to normal, so nobody hears so; and whoever has not been told of one yet will
    not be.
    """
    for span in open_spans_of_excluded():
        close_anomaly(span)
        withdraw(span.anomaly_id)
