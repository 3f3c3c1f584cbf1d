"""The story told again: a metric's scores and anomalies, made anew from its stored points."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.recording import (
    RecordedSpan,
    close_anomaly,
    closing_after_ms,
    delete_untouched,
    list_recorded_spans,
    not_found_again,
    restore_more_severe,
)
from anomify.delivery.queries import told_among
from anomify.detection.detector import Verdicts, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, EngineSummary, describe
from anomify.detection.tuning import tune
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.announce import Notifier
from anomify.pipeline.observe import PointVerdict, follow, point_verdicts_of
from anomify.pipeline.score import LEAST_ALERT, WaitTimes
from anomify.series import Int64s, Judgements, Series

ONLY_SLOT = np.zeros(1, np.int64)
# The engine has learnt all seasons it knows after so much of a metric's past.
RELEARN_MS = 35 * 86_400_000


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of a metric's whole past, judged in order of time.

    `rulings` are those that say something: what is over the threshold, and the last one.
    Where retention has deleted the beginning of the past, `short_past_until_ms` is when the
    engine has learnt as much again; before that it judges with less than it once had.
    `values_at` are the values as judged at the times that were asked for.
    """

    judged_from_ms: int | None
    short_past_until_ms: int | None
    values_at: dict[int, float]
    point_verdicts: list[PointVerdict]
    standing: EngineSummary
    wait_times: WaitTimes
    state: bytes


def rejudge(
    parts: Iterable[Series],
    wanted: Wanted = AS_SHIPPED,
    keep: Callable[[Series, Judgements], None] = lambda _, __: None,
    values_at: Iterable[int] = (),
) -> Rebuilt:
    """Judge a stored series from nothing, as if it had come in order and people had set that.

    It may be of any length: one part after the other is in memory, and given to `keep` with what
    is said of it now. Points that were judged by a past that is deleted since, and are too early
    to be judged without it, keep what was said of them.
    """
    state = EngineState.new(1)
    tune(state, 0, wanted.tuning)
    least_alert = wanted.tuning.threshold or LEAST_ALERT
    asked = np.array(sorted(values_at), np.int64)
    values: dict[int, float] = {}
    loud: list[PointVerdict] = []
    last: list[PointVerdict] = []
    first_ms = judged_from_ms = None
    was_judged_before = False
    for part in parts:
        if first_ms is None and len(part):
            first_ms = int(part.times[0])
        verdicts = judge(state, np.zeros(len(part), np.int64), part.times, part.values)
        judged = np.flatnonzero(verdicts.judged)
        said = verdicts.judgements
        if judged_from_ms is None:
            too_early = int(judged[0]) if len(judged) else len(part)
            was_judged_before |= bool(np.isfinite(part.judgements.scores[:too_early]).any())
            said = _first_of(part.judgements, said, too_early)
        keep(part, said)
        if not len(judged):
            continue
        if judged_from_ms is None:
            judged_from_ms = int(part.times[judged[0]])
        values.update(_values_at(asked, part.times, verdicts))
        is_loud = np.maximum(verdicts.alerts, verdicts.strengths)[judged] >= least_alert
        rows = np.append(judged[is_loud], judged[-1])
        point_verdicts = list(
            point_verdicts_of(part.times, verdicts, rows, least_alert=least_alert, unit=wanted.unit)
        )
        loud += point_verdicts[:-1]
        last = point_verdicts[-1:]
    is_short = was_judged_before and first_ms is not None
    return Rebuilt(
        judged_from_ms,
        first_ms + RELEARN_MS if is_short and first_ms is not None else None,
        values,
        loud + last,
        describe(state, ONLY_SLOT),
        WaitTimes(stale_after_ms(state, ONLY_SLOT), np.zeros(1, np.int64)),
        state.extract(ONLY_SLOT),
    )


def _first_of(before: Judgements, after: Judgements, count: int) -> Judgements:
    """Return what is said after, and in the first rows what was said before."""
    return Judgements(
        np.append(before.scores[:count], after.scores[count:]),
        np.append(before.lowers[:count], after.lowers[count:]),
        np.append(before.uppers[:count], after.uppers[count:]),
    )


def _values_at(asked: Int64s, times: Int64s, verdicts: Verdicts) -> dict[int, float]:
    """Return the values as judged at those of the asked times that are here."""
    if not len(asked) or not len(times):
        return {}
    rows = np.minimum(np.searchsorted(times, asked), len(times) - 1)
    rows = np.unique(rows[times[rows] == asked])
    rows = rows[verdicts.judged[rows]]
    return dict(zip(times[rows].tolist(), verdicts.values[rows].tolist(), strict=True))


def record_again(metric_id: int, rebuilt: Rebuilt, notifier: Notifier) -> None:
    """Let the metric's anomalies be those of the rebuilt verdicts, and tell what is news.

    A case found again keeps its id and what people made of it. One that is not found again goes,
    if its time has been judged again, unless people have touched it or have been told of it: then
    it stays, is over, and whoever was told that it began hears so.

    What was judged by a past that retention has deleted cannot be judged as well again: such a
    case neither goes nor becomes less severe, as long as its point is the one it was found by.
    """
    if rebuilt.judged_from_ms is None:
        return
    protected = _found_by_deleted_past(metric_id, rebuilt)
    spans = follow(
        rebuilt.point_verdicts,
        metric_id,
        None,
        closing_after_ms(int(rebuilt.standing.resolution_ms[0])),
        notifier,
    )
    for span in spans:
        if span.anomaly_id in protected:
            restore_more_severe(span, protected[span.anomaly_id])
    # What was found in points that have been let go of since can be found no more.
    found = {span.anomaly_id for span in spans}
    lost = not_found_again(metric_id, rebuilt.judged_from_ms, found)
    told = told_among([span.anomaly_id for span in lost])
    for span in lost:
        if span.is_open:
            close_anomaly(span)
            notifier.recovered(span)
    delete_untouched(
        span.anomaly_id
        for span in lost
        if span.anomaly_id not in told
        and (span.anomaly_id not in protected or _is_within(span, spans))
    )


def _found_by_deleted_past(metric_id: int, rebuilt: Rebuilt) -> dict[int, RecordedSpan]:
    """Return what is recorded of the cases that were found by points deleted since, by id.

    Those are not among them whose own point has been judged again by another value, or as of
    another kind: for these the new verdict is the better one.
    """
    if rebuilt.judged_from_ms is None or rebuilt.short_past_until_ms is None:
        return {}
    recorded = list_recorded_spans(metric_id, rebuilt.judged_from_ms, rebuilt.short_past_until_ms)
    return {
        each.anomaly_id: each
        for each in recorded
        if each.peak.time_ms < rebuilt.judged_from_ms
        or np.isclose(rebuilt.values_at.get(each.peak.time_ms, np.nan), each.peak.value, rtol=1e-6)
    }


def _is_within(span: Span, others: Iterable[Span]) -> bool:
    return any(
        other.started_ms <= span.started_ms and span.last_over_ms <= other.last_over_ms
        for other in others
    )
