"""Judge a stored series again from its first point: engine in, verdicts and state out. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anomify.detection.detector import Verdicts, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, EngineSummary, describe
from anomify.detection.tuning import tune
from anomify.metric.moved import UnusualPoints
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.candidates import OUTSIDE, OUTSIDE_SHARE, StoredVerdicts
from anomify.pipeline.excursion_rows import ExcursionRows
from anomify.pipeline.open_rows import OpenRows
from anomify.pipeline.score import LEAST_ALERT, WaitTimes
from anomify.pipeline.unusual import UnusualFinder
from anomify.series import Int64s, Judgements, Series

ONLY_SLOT = np.zeros(1, np.int64)
# After so much of a metric's past the engine has learnt all the seasons that it can learn.
RELEARN_MS = 35 * 86_400_000


@dataclass(frozen=True, slots=True)
class Rejudged:
    """The result of judging a metric's whole past in order of time.

    `point_verdicts` are those over the threshold, those outside of their range that are over half
    of it, those at which an anomaly would be open, and the last one of each part. Where retention
    has deleted the beginning of the past, `short_past_until_ms` is when the engine has learnt as
    much again; before that it judges by less than it once did. `values_at` are the values as judged
    at the times that were asked for. `unusual` are the points for the index of unusual metrics, in
    parts, each with 0 as its metric.
    """

    judged_from_ms: int | None
    short_past_until_ms: int | None
    values_at: dict[int, float]
    point_verdicts: Sequence[StoredVerdicts]
    summary: EngineSummary
    wait_times: WaitTimes
    state: bytes
    unusual: Sequence[UnusualPoints]


def rejudge(
    parts: Iterable[Series],
    settings: Wanted = AS_SHIPPED,
    keep: Callable[[Series, Judgements], None] = lambda _, __: None,
    values_at: Iterable[int] = (),
    *,
    followed_ms: int | None = None,
) -> Rejudged:
    """Judge a stored series from nothing, as if it had come in order and with these settings.

    It may have any length: one part at a time is in memory, and is passed to `keep` with its new
    judgements. Points that were judged by a past that is deleted since, and are too early to be
    judged without it, keep their old judgements. With `followed_ms` the verdicts on all points of
    an excursion are returned, at least for so long, so that it can be compared with patterns.
    """
    state = EngineState.new(1)
    tune(state, 0, settings.tuning)
    least_alert = settings.tuning.threshold or LEAST_ALERT
    wanted_times = np.array(sorted(values_at), np.int64)
    values: dict[int, float] = {}
    found: list[StoredVerdicts] = []
    unusual: list[UnusualPoints] = []
    finder = UnusualFinder()
    open_rows = OpenRows(least_alert)
    excursions = None if followed_ms is None else ExcursionRows(least_alert, followed_ms)
    first_ms = judged_from_ms = None
    was_judged_before = False
    for part in parts:
        if first_ms is None and len(part):
            first_ms = int(part.times[0])
        verdicts = judge(state, np.zeros(len(part), np.int64), part.times, part.values)
        judged = np.flatnonzero(verdicts.judged)
        judgements = verdicts.judgements
        if judged_from_ms is None:
            too_early = int(judged[0]) if len(judged) else len(part)
            was_judged_before |= bool(np.isfinite(part.judgements.scores[:too_early]).any())
            judgements = _with_first_of(part.judgements, judgements, too_early)
        keep(part, judgements)
        if not len(judged):
            continue
        if judged_from_ms is None:
            judged_from_ms = int(part.times[judged[0]])
        values.update(_values_at(wanted_times, part.times, verdicts))
        strengths = np.maximum(verdicts.alerts, verdicts.strengths)[judged]
        is_outside = np.isin(verdicts.evidence[judged], OUTSIDE)
        is_over = strengths >= np.where(is_outside, OUTSIDE_SHARE, 1.0) * least_alert
        step_ms = int(describe(state, ONLY_SLOT).resolution_ms[0])
        unusual.append(finder.find(np.zeros(len(part), np.int64), part.times, verdicts))
        rows = np.union1d(judged[is_over], open_rows.find(part.times, verdicts, judged, step_ms))
        if excursions is not None:
            rows = np.union1d(rows, excursions.find(part.times, verdicts, judged, step_ms))
        rows = np.union1d(rows, judged[-1:])
        found.append(
            StoredVerdicts(part.times[rows], verdicts.of(rows), least_alert, settings.unit)
        )
    is_short = was_judged_before and first_ms is not None
    return Rejudged(
        judged_from_ms,
        first_ms + RELEARN_MS if is_short and first_ms is not None else None,
        values,
        found,
        describe(state, ONLY_SLOT),
        WaitTimes(stale_after_ms(state, ONLY_SLOT), np.zeros(1, np.int64)),
        state.extract(ONLY_SLOT),
        unusual,
    )


def _with_first_of(before: Judgements, after: Judgements, count: int) -> Judgements:
    """Return the first `count` rows of `before` and the other rows of `after`."""
    return Judgements(
        np.append(before.scores[:count], after.scores[count:]),
        np.append(before.lowers[:count], after.lowers[count:]),
        np.append(before.uppers[:count], after.uppers[count:]),
    )


def _values_at(wanted_times: Int64s, times: Int64s, verdicts: Verdicts) -> dict[int, float]:
    """Return the values as judged at those of the wanted times that are among `times`."""
    if not len(wanted_times) or not len(times):
        return {}
    rows = np.minimum(np.searchsorted(times, wanted_times), len(times) - 1)
    rows = np.unique(rows[times[rows] == wanted_times])
    rows = rows[verdicts.judged[rows]]
    return dict(zip(times[rows].tolist(), verdicts.values[rows].tolist(), strict=True))
