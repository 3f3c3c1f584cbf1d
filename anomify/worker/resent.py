"""Which late points of a tick are new, and which ones only repeat what is stored already."""

import numpy as np

from anomify.pipeline.score import Scored
from anomify.series import Bools, Points
from anomify.storage.chunks import ChunkStore
from anomify.worker.unsealed import Unsealed


def find_new_rows(scored: Scored, chunks: ChunkStore, unsealed: Unsealed) -> Bools:
    """Return for each row of the tick whether it holds something that is not stored yet.

    A row that is not late is always new. A late one is not new if a point of the same metric, time
    and value is in the chunks, is unsealed, or comes before it in the tick.
    """
    is_new = ~scored.is_late
    late = scored.points.of(np.flatnonzero(scored.is_late))
    if not len(late):
        return is_new
    sealed = chunks.values_at(late)
    known = [
        Points(late.metric_ids, late.times, sealed).of(~np.isnan(sealed)),
        unsealed.of_metrics(
            np.unique(late.metric_ids), int(late.times.min()), int(late.times.max())
        ).points,
    ]
    # In this order the previous point with the same metric and time is right above a row.
    all_rows = Points.joined([*known, scored.points])
    order = np.lexsort((all_rows.times, all_rows.metric_ids))
    row, above = order[1:], order[:-1]
    is_resent = np.zeros(len(all_rows), bool)
    is_resent[row] = (
        (all_rows.metric_ids[row] == all_rows.metric_ids[above])
        & (all_rows.times[row] == all_rows.times[above])
        & (all_rows.values[row] == all_rows.values[above])
    )
    return is_new | ~is_resent[-len(scored.points) :]
