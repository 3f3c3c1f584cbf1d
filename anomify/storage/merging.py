"""Many writes become one series: of each time the last value, and the last that was said of it."""

import numpy as np

from anomify.series import Float64s, Int64s, Judgements, Series
from anomify.storage.codec import says_something


def merge(times: Int64s, values: Float64s, judgements: Judgements) -> Series:
    """Return the series that these rows, in the order of their writing, make.

    Of rows with the same time the last value counts, and the last judgement that says anything:
    a point that is written again without one keeps what was said of it.
    """
    if (times[1:] > times[:-1]).all():
        return Series(times, values, judgements)
    order = np.argsort(times, kind="stable")
    times, values, judgements = times[order], values[order], judgements.of(order)
    is_last = np.append(times[1:] != times[:-1], True)
    last = np.flatnonzero(is_last)
    if len(last) == len(times):
        return Series(times, values, judgements)
    first = np.append(0, last[:-1] + 1)
    said = np.where(says_something(judgements), np.arange(len(times)), -1)
    telling = np.maximum.reduceat(said, first)
    return Series(times[last], values[last], judgements.of(np.where(telling < 0, last, telling)))


def judge(series: Series, times: Int64s, judgements: Judgements) -> Series:
    """Return the series with these judgements, in the order of judging, where its times occur.

    What says nothing replaces nothing; times that the series does not have are passed over.
    """
    rows, told = _matching(series, times)
    said = says_something(judgements)[told]
    return _replaced(series, rows[said], judgements.of(told[said]))


def judge_anew(series: Series, times: Int64s, judgements: Judgements) -> Series:
    """Return the series with what was said of these times replaced, by silence too."""
    rows, told = _matching(series, times)
    return _replaced(series, rows, judgements.of(told))


def joined(parts: list[Judgements]) -> Judgements:
    """Return the parts, one after the other."""
    return Judgements(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.lowers for part in parts]),
        np.concatenate([part.uppers for part in parts]),
    )


def _matching(series: Series, times: Int64s) -> tuple[Int64s, Int64s]:
    """Return positions in the series and in `times` that have the same time."""
    if not len(series):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = np.minimum(np.searchsorted(series.times, times), len(series) - 1)
    told = np.flatnonzero(series.times[rows] == times)
    return rows[told], told


def _replaced(series: Series, rows: Int64s, judgements: Judgements) -> Series:
    if not len(rows):
        return series
    old = series.judgements
    columns = []
    for before, after in (
        (old.scores, judgements.scores),
        (old.lowers, judgements.lowers),
        (old.uppers, judgements.uppers),
    ):
        column = before.copy()
        # Assigned in order: of a time that comes twice, the last one stays.
        column[rows] = after
        columns.append(column)
    return Series(series.times, series.values, Judgements(*columns))
