"""The interface of the engine: judges the newest points of many metrics, each by its own past."""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from anomify.detection.ensemble import ALARM, NOVELTY_HEAD
from anomify.detection.evidence import FEATURES
from anomify.detection.kernel import judge_rows
from anomify.detection.state import SLOT, EngineState
from anomify.detection.threshold import display_score
from anomify.series import Bools, Float32s, Float64s, Int64s, Judgements


class Head(IntEnum):
    """Which weighted sum of the features a strength is.

    >>> list(Head)
    [<Head.ALARM: 0>, <Head.NOVELTY: 1>]
    """

    ALARM = ALARM  # for incidents that need attention
    NOVELTY = NOVELTY_HEAD  # for anything new, harmless changes too; scored by NAB


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The results for n points, one row each, in the order of the arguments; all arrays are (n,).

    `judged` bool is False while a slot learns (its first `LEARNING_POINTS` points), for NaN,
    infinity and sizes beyond 1e100, for the first reading after a restart of a counter, and for
    times not after the slot's newest one. Such rows have alert 0, strength 0, evidence NONE, and
    NaN as score and range; a NaN, an infinity and a time that is not newer have not changed the
    state.
    `alerts` float32 is compared with the threshold: the strength, lowered where the metric is new
    or has often raised alerts as strong (see `alarm_history`), or 0 where it is not larger than the
    decaying maximum of the last hours (see `record_rule`).
    `strengths` float32 is the same without both: an anomaly stays open while it is over the
    threshold.
    `scores` float32 is the display score, 0..1: at least 0.5 where the strength reaches the lowest
    threshold, and decaying with a half-life of 20 minutes (or three steps, if that is longer) after
    it, because incidents are marked as spans of time.
    `lowers` and `uppers` float32 are the ends of the expected range, in the unit of `values`.
    `evidence` int8 holds values of `Evidence`; ABOVE and BELOW only outside the range. `amounts`
    float32 is the number for the sentence of `explanation.explain`: seconds for FLAT, the ratio to
    the usual noise for NOISIER, the value before the step for JUMP, the mean of the newest points
    for SHIFTED, the difference of the daily mean from last week for DRIFTING, else NaN.
    `values` float64 is what was judged: the reported value, or a counter's increase per second.
    `seasons` float32 is what the time of the day and of the week adds to the forecast, NaN while no
    season is learnt: the difference of two moments is how far the season moved the metric.

    >>> state = EngineState.new(1)
    >>> verdicts = judge(state, np.zeros(3, int), np.arange(3) * 60_000, np.array([1.0, 2.0, 1.0]))
    >>> len(verdicts.judgements.scores)
    3
    """

    judged: Bools
    alerts: Float32s
    strengths: Float32s
    scores: Float32s
    lowers: Float32s
    uppers: Float32s
    evidence: NDArray[np.int8]
    amounts: Float32s
    values: Float64s
    seasons: Float32s

    @property
    def judgements(self) -> Judgements:
        """Return the part of the verdicts that is stored with the points, row by row."""
        return Judgements(self.scores, self.lowers, self.uppers)

    def of(self, rows: Int64s | Bools) -> "Verdicts":
        """Return the verdicts of some rows: their numbers or a mask."""
        return Verdicts(*(getattr(self, each.name)[rows] for each in fields(self)))


def judge(
    state: EngineState, slots: Int64s, times: Int64s, values: Float64s, head: Head = Head.ALARM
) -> Verdicts:
    """Judge each point by the earlier points of its slot, then update the slot with it.

    `slots` int64 (n,), `times` int64 (n,) in unix milliseconds, `values` float64 (n,): row i is the
    value that slot `slots[i]` reported at `times[i]`. A slot may have many rows, oldest first.
    The verdict on a point is the same, bit for bit, whatever comes after it and whichever other
    slots are in the call. Raises ValueError where the arrays differ in length and IndexError for a
    slot outside the state.

    >>> state = EngineState.new(1)
    >>> minutes = np.arange(301) * 60_000
    >>> values = 50.0 + np.arange(301) % 7
    >>> values[-1] = 900.0
    >>> verdicts = judge(state, np.zeros(301, int), minutes, values)
    >>> bool(verdicts.judged[0]), bool(verdicts.judged[-1]), int(verdicts.evidence[-1])
    (False, True, 1)
    >>> bool(verdicts.alerts[-1] > 9.6), bool((verdicts.alerts[:-1] > 5.25).any())
    (True, False)
    """
    return _run(state, slots, times, values, head, np.empty((0, FEATURES)))


def measure(
    state: EngineState, slots: Int64s, times: Int64s, values: Float64s
) -> tuple[Verdicts, Float64s]:
    """Judge as `judge` does; also return the features, float64 (n, FEATURES), to calibrate weights.

    The columns are those that `evidence` lists; the rows of points that were not judged are zero.

    >>> _, features = measure(EngineState.new(1), np.zeros(1, int), np.ones(1, int), np.ones(1))
    >>> features.shape == (1, FEATURES)
    True
    """
    trace = np.zeros((len(slots), FEATURES))
    return _run(state, slots, times, values, Head.ALARM, trace), trace


def _run(
    state: EngineState,
    slots: Int64s,
    times: Int64s,
    values: Float64s,
    head: Head,
    trace: Float64s,
) -> Verdicts:
    count = len(slots)
    if not len(times) == len(values) == count:
        raise ValueError("slots, times and values differ in length.")
    if count and not (slots.min() >= 0 and slots.max() < state.capacity):
        raise IndexError(f"Slots must lie in 0..{state.capacity - 1}.")
    judged = np.zeros(count, np.bool_)
    alerts = np.zeros(count, np.float32)
    strengths = np.zeros(count, np.float32)
    displays = np.zeros(count, np.float32)
    lowers = np.full(count, np.nan, np.float32)
    uppers = np.full(count, np.nan, np.float32)
    evidence = np.zeros(count, np.int8)
    amounts = np.full(count, np.nan, np.float32)
    judged_values = np.empty(count, np.float64)
    seasons = np.full(count, np.nan, np.float32)
    state_bytes = state.slots.view(np.uint8).reshape(state.capacity, SLOT.itemsize)
    judge_rows(
        state.slots,
        state_bytes,
        np.ascontiguousarray(slots, np.int64),
        np.ascontiguousarray(times, np.int64),
        np.ascontiguousarray(values, np.float64),
        int(head),
        judged,
        alerts,
        strengths,
        displays,
        lowers,
        uppers,
        evidence,
        amounts,
        judged_values,
        seasons,
        trace,
    )
    scores = np.where(judged, display_score(displays), np.float32(np.nan))
    return Verdicts(
        judged, alerts, strengths, scores, lowers, uppers, evidence, amounts, judged_values, seasons
    )
