"""What a counter does in a second, seen from its readings."""

from typing import Final

import numpy as np

from anomify.series import Float64s, Int64s

RESTART_SHARE: Final = 0.5
"""A counter that falls to less than this share of its value has restarted from zero.

Other falls give a negative rate: what only ever grew has lost a part, and that is worth seeing.
"""


def rates(times: Int64s, values: Float64s) -> Float64s:
    """Return a counter's increase a second at each of its points, as the engine judges it.

    `times` are unix milliseconds, ascending. The first point has no rate (NaN), nor has a NaN or
    infinite value; the next finite one is compared with the last finite one. After a restart the
    increase is the new value, counted from zero.

    >>> rates(np.array([0, 10_000, 20_000]), np.array([50.0, 70.0, 5.0]))
    array([nan, 2. , 0.5])
    """
    result = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    seen = values[known]
    increases = np.diff(seen)
    restarted = (seen[1:] >= 0.0) & (seen[1:] < RESTART_SHARE * seen[:-1])
    increases[restarted] = seen[1:][restarted]
    result[known[1:]] = increases / (np.diff(times[known]) / 1000.0)
    return result
