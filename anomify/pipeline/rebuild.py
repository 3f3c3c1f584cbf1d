"""The story told again: a metric's scores and anomalies, made anew from its stored points."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from anomify.anomaly.recording import (
    close_anomaly,
    closing_after_ms,
    delete_untouched,
    not_found_again,
)
from anomify.delivery.queries import told_among
from anomify.detection.detector import Verdicts, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, Standing, describe
from anomify.detection.tuning import tune
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.announce import Herald
from anomify.pipeline.observe import Ruling, follow, rulings_of
from anomify.pipeline.score import LEAST_ALERT, Patience
from anomify.series import Series

ONLY_SLOT = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of a metric's whole past, judged in order of time.

    `rulings` are those that say something: what is over the threshold, and the last one.
    """

    judged_from_ms: int | None
    rulings: list[Ruling]
    standing: Standing
    patience: Patience
    state: bytes


def rejudge(
    parts: Iterable[Series],
    wanted: Wanted = AS_SHIPPED,
    keep: Callable[[Series, Verdicts], None] = lambda _, __: None,
) -> Rebuilt:
    """Judge a stored series from nothing, as if it had come in order and people had set that.

    It may be of any length: one part after the other is in memory, and given to `keep` with what
    is said of it now.
    """
    state = EngineState.new(1)
    tune(state, 0, wanted.tuning)
    least_alert = wanted.tuning.threshold or LEAST_ALERT
    loud: list[Ruling] = []
    last: list[Ruling] = []
    judged_from_ms = None
    for part in parts:
        verdicts = judge(state, np.zeros(len(part), np.int64), part.times, part.values)
        keep(part, verdicts)
        judged = np.flatnonzero(verdicts.judged)
        if not len(judged):
            continue
        if judged_from_ms is None:
            judged_from_ms = int(part.times[judged[0]])
        is_loud = np.maximum(verdicts.alerts, verdicts.strengths)[judged] >= least_alert
        rows = np.append(judged[is_loud], judged[-1])
        said = list(
            rulings_of(part.times, verdicts, rows, least_alert=least_alert, unit=wanted.unit)
        )
        loud += said[:-1]
        last = said[-1:]
    return Rebuilt(
        judged_from_ms,
        loud + last,
        describe(state, ONLY_SLOT),
        Patience(stale_after_ms(state, ONLY_SLOT), np.zeros(1, np.int64)),
        state.extract(ONLY_SLOT),
    )


def record_again(metric_id: int, rebuilt: Rebuilt, herald: Herald) -> None:
    """Let the metric's anomalies be those of the rebuilt verdicts, and tell what is news.

    A case found again keeps its id and what people made of it. One that is not found again goes,
    if its time has been judged again, unless people have touched it or have been told of it: then
    it stays, is over, and whoever was told that it began hears so.
    """
    if rebuilt.judged_from_ms is None:
        return
    spans = follow(
        rebuilt.rulings,
        metric_id,
        None,
        closing_after_ms(int(rebuilt.standing.resolution_ms[0])),
        herald,
    )
    # What was found in points that have been let go of since can be found no more.
    found = {span.anomaly_id for span in spans}
    lost = not_found_again(metric_id, rebuilt.judged_from_ms, found)
    told = told_among([span.anomaly_id for span in lost])
    for span in lost:
        if span.is_open:
            close_anomaly(span)
            herald.recovered(span)
    delete_untouched(span.anomaly_id for span in lost if span.anomaly_id not in told)
