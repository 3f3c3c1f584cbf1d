"""Find out after a failure which metrics cannot be judged or recorded, metric by metric."""

from collections.abc import Callable

import numpy as np

from anomify.metric.failing import is_of_one_metric
from anomify.pipeline.score import Fresh, Scored, Scorer


def find_failing(
    fresh: Fresh, scorer: Scorer, attempt: Callable[[Scored], None]
) -> list[tuple[int, Exception]]:
    """Return the metrics of a tick for which scoring or `attempt` fails, each with the exception.

    `attempt` records the scored points of one metric without effect. What scoring changes in the
    loaded states is undone.
    """
    failing: list[tuple[int, Exception]] = []
    for metric_id in np.unique(fresh.points.metric_ids).tolist():
        only = np.array([metric_id], np.int64)
        is_new = bool(len(scorer.not_loaded(only)))
        before = b"" if is_new else scorer.snapshot_of(only)
        try:
            attempt(scorer.score(fresh.of(fresh.points.metric_ids == metric_id)))
        except Exception as problem:
            if not is_of_one_metric(problem):
                raise
            failing.append((metric_id, problem))
        finally:
            scorer.unload([metric_id])
            if not is_new:
                scorer.load(only, before)
    return failing
