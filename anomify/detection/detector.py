"""Judges datapoints, one by one or many metrics at once: the contract of the engine."""

from dataclasses import dataclass
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
    """What a strength is to mean."""

    ALARM = ALARM  # something that people should look at
    NOVELTY = NOVELTY_HEAD  # anything that is new, however harmless


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the engine says of points, a row each, in the order in which they were given.

    `judged` is False while a slot learns (its first `LEARNING_POINTS` points), for NaN, infinity
    and sizes beyond 1e100, and for times not after the slot's last one; such rows have alert 0,
    strength 0, evidence NONE, score and range NaN, and those refused have changed nothing.
    `alerts` is what a threshold is applied to: 0 unless it beats what was felt in the last hours.
    `strengths` is the same without that rule: an open anomaly lasts while this stays over the
    threshold. `scores` is for charts and rankings, 0..1: where a strength reaches the lowest
    threshold it is at least 0.5, and it fades within some minutes (three steps, if that is longer)
    where strengths break off, because people mark incidents as spans.
    `lowers` and `uppers` are the expected range, in the unit of `values`: the reported value, or a
    counter's increase a second. Evidence ABOVE or BELOW is given only outside the range. `amounts`
    is the figure for the sentence (`explanation.explain`): seconds for FLAT, times as noisy for
    NOISIER, the value before for JUMP, else NaN.
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

    @property
    def judgements(self) -> Judgements:
        """Return what of them is kept beside the points, row by row."""
        return Judgements(self.scores, self.lowers, self.uppers)


def judge(
    state: EngineState, slots: Int64s, times: Int64s, values: Float64s, head: Head = Head.ALARM
) -> Verdicts:
    """Judge each point by the points before it, then learn it.

    Row i is the value that slot `slots[i]` reported at `times[i]`, unix milliseconds. A slot may
    have many rows, oldest first. The verdict on a point does not depend on what comes after it nor
    on which other slots are in the same call, to the last bit.
    """
    return _run(state, slots, times, values, head, np.empty((0, FEATURES)))


def measure(
    state: EngineState, slots: Int64s, times: Int64s, values: Float64s
) -> tuple[Verdicts, Float64s]:
    """Judge, and also return the features of each row (see `evidence`), for calibrating heads."""
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
        trace,
    )
    scores = np.where(judged, display_score(displays), np.float32(np.nan))
    return Verdicts(
        judged, alerts, strengths, scores, lowers, uppers, evidence, amounts, judged_values
    )
