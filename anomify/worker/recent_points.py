"""The stored points of metrics for the thread that judges: sealed ones and those in memory."""

from collections.abc import Mapping

import numpy as np

from anomify.series import Series
from anomify.storage.chunks import ChunkStore
from anomify.storage.merging import joined, merge
from anomify.worker.unsealed import Unsealed


class RecentPoints:
    """Reads the points that were judged so far, without those of the tick that is handled now."""

    def __init__(self, chunks: ChunkStore, unsealed: Unsealed) -> None:
        """Take where points are."""
        self._chunks = chunks
        self._unsealed = unsealed

    def read(self, from_ms: Mapping[int, int]) -> dict[int, Series]:
        """Return the points of each metric id from its time on; one without any is missing."""
        if not from_ms:
            return {}
        metric_ids = np.array(sorted(from_ms), np.int64)
        fresh = self._unsealed.of_metrics(metric_ids, min(from_ms.values()), np.iinfo(np.int64).max)
        order = np.argsort(fresh.points.metric_ids, kind="stable")
        starts = np.searchsorted(fresh.points.metric_ids[order], metric_ids)
        ends = np.searchsorted(fresh.points.metric_ids[order], metric_ids, side="right")
        found = {}
        for metric_id, start, end in zip(metric_ids.tolist(), starts, ends, strict=True):
            rows = order[start:end]
            sealed = self._chunks.read_since(metric_id, from_ms[metric_id])
            times = np.concatenate([sealed.times, fresh.points.times[rows]])
            if not len(times):
                continue
            values = np.concatenate([sealed.values, fresh.points.values[rows]])
            judgements = joined([sealed.judgements, fresh.judgements.of(rows)])
            series = merge(times, values, judgements)
            found[metric_id] = series.of(series.times >= from_ms[metric_id])
        return found
