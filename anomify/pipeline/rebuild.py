"""The story told again: a metric's scores and anomalies, made anew from its stored points."""

from dataclasses import dataclass

import numpy as np

from anomify.anomaly.recording import closing_after_ms, delete_untouched
from anomify.detection.detector import Verdicts, judge
from anomify.detection.state import EngineState, Standing, describe
from anomify.pipeline.announce import Herald
from anomify.pipeline.observe import follow, rulings_of
from anomify.series import Series

ONLY_SLOT = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A metric's whole past, judged in order of time."""

    series: Series
    verdicts: Verdicts
    standing: Standing
    state: bytes


def rejudge(series: Series) -> Rebuilt:
    """Judge a stored series from nothing, as if it had come in order."""
    state = EngineState.new(1)
    slots = np.zeros(len(series), np.int64)
    verdicts = judge(state, slots, series.times, series.values)
    return Rebuilt(
        Series(series.times, series.values, verdicts.judgements),
        verdicts,
        describe(state, ONLY_SLOT),
        state.extract(ONLY_SLOT),
    )


def record_again(metric_id: int, rebuilt: Rebuilt, herald: Herald) -> None:
    """Let the metric's anomalies be those of the rebuilt verdicts, and tell what is news.

    A case found again keeps its id and what people made of it; one that people have not touched
    and that is not found again goes, if its time has been judged again.
    """
    judged = np.flatnonzero(rebuilt.verdicts.judged)
    if not len(judged):
        return
    spans = follow(
        rulings_of(rebuilt.series.times, rebuilt.verdicts, judged),
        metric_id,
        None,
        closing_after_ms(int(rebuilt.standing.resolution_ms[0])),
        herald,
    )
    # What was found in points that have been let go of since can be found no more.
    since_ms = int(rebuilt.series.times[judged[0]])
    delete_untouched(metric_id, since_ms, keep={span.anomaly_id for span in spans})
