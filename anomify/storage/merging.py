"""Merges writes to one series: for each time the last value and the last judgement."""

import numpy as np

from anomify.series import Float64s, Int64s, Judgements, Series
from anomify.storage.codec import has_judgement


def merge(times: Int64s, values: Float64s, judgements: Judgements) -> Series:
    """Return the series of n rows in the order of their writing; all arguments have n rows.

    Of rows with the same time, the last value and the last judgement that is not all NaN are kept:
    a point that is written again keeps its judgement.

    >>> times, values = np.array([60_000, 0, 60_000]), np.array([1.0, 2.0, 3.0])
    >>> merged = merge(times, values, Judgements.none(3))
    >>> merged.times.tolist(), merged.values.tolist()
    ([0, 60000], [2.0, 3.0])
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
    judged_rows = np.where(has_judgement(judgements), np.arange(len(times)), -1)
    judged = np.maximum.reduceat(judged_rows, first)
    return Series(times[last], values[last], judgements.of(np.where(judged < 0, last, judged)))


def judge(series: Series, times: Int64s, judgements: Judgements) -> Series:
    """Return the series with these judgements applied in order to the points of the same times.

    A row of NaN replaces nothing; times that are not in the series are ignored.
    """
    rows, matched = _matching(series, times)
    is_judged = has_judgement(judgements)[matched]
    return _replaced(series, rows[is_judged], judgements.of(matched[is_judged]))


def judge_anew(series: Series, times: Int64s, judgements: Judgements) -> Series:
    """Return the series with the judgements of these times replaced, also by rows of NaN."""
    rows, matched = _matching(series, times)
    return _replaced(series, rows, judgements.of(matched))


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
    matched = np.flatnonzero(series.times[rows] == times)
    return rows[matched], matched


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
