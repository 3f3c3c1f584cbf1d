"""Converts the readings of a counter to rates per second."""

from typing import Final

import numpy as np

from anomify.series import Float64s, Int64s

RESTART_SHARE: Final = 0.5
"""A counter that falls to less than this share of its previous value has restarted from zero.

Any smaller fall is no restart and gives a negative rate, which is judged like any other value.
"""


WRAP: Final = 2.0**32
"""A 32-bit counter continues from zero here, as those of SNMP do (Counter32, RFC 2578)."""

WRAP_INCREASES: Final = 4.0
"""A fall is taken for such an end if the increase is then at most so many times the one before."""


def rates(times: Int64s, values: Float64s) -> Float64s:
    """Return the rate of a counter at each of its points, as the engine judges it.

    `times` int64 (n,), unix milliseconds, strictly ascending; `values` float64 (n,), the readings.
    Returns float64 (n,), in units of the counter per second. The first finite reading and every
    reading that is NaN or infinite have the rate NaN; a finite reading is compared with the finite
    reading before it. After a restart the increase is the new reading, counted from zero, as in
    the function `rate` of Prometheus (Prometheus documentation, "Query functions").

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
