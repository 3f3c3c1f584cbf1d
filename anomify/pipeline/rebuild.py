"""The story told again: a metric's scores and anomalies, made anew from its stored points."""

from dataclasses import dataclass

import numpy as np

from anomify.anomaly.recording import closing_after_ms, delete_untouched
from anomify.detection.detector import Verdicts, judge
from anomify.detection.staleness import stale_after_ms
from anomify.detection.state import EngineState, Standing, describe
from anomify.detection.tuning import tune
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.announce import Herald
from anomify.pipeline.observe import follow, rulings_of
from anomify.pipeline.score import LEAST_ALERT, Patience
from anomify.series import Series

ONLY_SLOT = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A metric's whole past, judged in order of time."""

    series: Series
    verdicts: Verdicts
    standing: Standing
    patience: Patience
    state: bytes


def rejudge(series: Series, wanted: Wanted = AS_SHIPPED) -> Rebuilt:
    """Judge a stored series from nothing, as if it had come in order and people had set that."""
    state = EngineState.new(1)
    tune(state, 0, wanted.tuning)
    slots = np.zeros(len(series), np.int64)
    verdicts = judge(state, slots, series.times, series.values)
    return Rebuilt(
        Series(series.times, series.values, verdicts.judgements),
        verdicts,
        describe(state, ONLY_SLOT),
        Patience(stale_after_ms(state, ONLY_SLOT), np.zeros(1, np.int64)),
        state.extract(ONLY_SLOT),
    )


def record_again(
    metric_id: int, rebuilt: Rebuilt, herald: Herald, wanted: Wanted = AS_SHIPPED
) -> None:
    """Let the metric's anomalies be those of the rebuilt verdicts, and tell what is news.

    A case found again keeps its id and what people made of it; one that people have not touched
    and that is not found again goes, if its time has been judged again.
    """
    judged = np.flatnonzero(rebuilt.verdicts.judged)
    if not len(judged):
        return
    spans = follow(
        rulings_of(
            rebuilt.series.times,
            rebuilt.verdicts,
            judged,
            least_alert=wanted.tuning.threshold or LEAST_ALERT,
            unit=wanted.unit,
        ),
        metric_id,
        None,
        closing_after_ms(int(rebuilt.standing.resolution_ms[0])),
        herald,
    )
    # What was found in points that have been let go of since can be found no more.
    since_ms = int(rebuilt.series.times[judged[0]])
    delete_untouched(metric_id, since_ms, keep={span.anomaly_id for span in spans})
