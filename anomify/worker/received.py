"""When the worker last received points of each metric, by our clock."""

import numpy as np

from anomify.clock import now_ms
from anomify.series import Int64s, lengthened


class LastReceived:
    """The times in milliseconds by metric id; 0 where nothing came since the start.

    A metric whose history is sent now has old points but is not silent, which the time of its
    newest point does not show.
    """

    def __init__(self) -> None:
        """Start with nothing received."""
        self.times_ms = np.zeros(0, np.int64)

    def note(self, metric_ids: Int64s) -> None:
        """Note that points of these metrics came now."""
        self.times_ms = lengthened(self.times_ms, int(metric_ids.max(initial=0)) + 1, 0)
        self.times_ms[metric_ids] = now_ms()

    def of(self, metric_ids: Int64s) -> Int64s:
        """Return when points of each of these metrics last came."""
        self.times_ms = lengthened(self.times_ms, int(metric_ids.max(initial=0)) + 1, 0)
        times: Int64s = self.times_ms[metric_ids]
        return times
