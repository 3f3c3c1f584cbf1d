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
    reading before it. After a restart the increase is not known, because the new reading has been
    counted for a part of the interval only: its rate is NaN. At a second restart in a row it is
    counted from zero. A 32-bit counter that passes its end has not restarted.

    >>> rates(np.array([0, 10_000, 20_000, 30_000]), np.array([50.0, 70.0, 5.0, 35.0]))
    array([nan,  2., nan,  3.])
    """
    result = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    seen = values[known]
    seconds = np.diff(times[known]) / 1000.0
    by_second = np.diff(seen) / seconds
    restarted = (seen[1:] >= 0.0) & (seen[1:] < RESTART_SHARE * seen[:-1])
    # For each place the last one before it that has a rate, fallen readings left out; -1 for none.
    has_rate = np.isfinite(by_second) & ~restarted
    rated = np.maximum.accumulate(np.where(has_rate, np.arange(len(by_second)), -1))
    last = -1  # the place of the last restart
    last_rated = -1  # and that of the last fall whose rate is known
    for place in np.flatnonzero(restarted).tolist():
        before = max(int(rated[place]), last_rated)
        usual = float(by_second[before]) if before >= 0 else 0.0
        wrapped = by_second[place] + WRAP / seconds[place]
        if 0.0 < wrapped <= WRAP_INCREASES * usual:
            by_second[place] = wrapped
            last_rated = place
            continue
        is_again = place > 0 and last == place - 1
        by_second[place] = seen[place + 1] / seconds[place] if is_again else np.nan
        last_rated = place if is_again else last_rated
        last = place
    result[known[1:]] = by_second
    return result
