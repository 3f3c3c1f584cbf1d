"""The numbers of judged points by hour, which the worker counts."""

from collections.abc import Iterator

import numpy as np
import pytest

from anomify.clock import now_ms
from anomify.metric.judged_counts import HOUR_MS, judged_points
from anomify.metric.state import PARTITIONS
from anomify.series import Series
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.chunks import ChunkStore
from tests.kit.killed import Killed, die
from tests.kit.plant import POINTS, Plant, drain, noise, past


class TestJudgedCounts:
    """The number of judged points on the Overview equals the judged points on charts."""

    def judged_on_charts(self, plant: Plant) -> int:
        return sum(
            int(np.count_nonzero(~np.isnan(plant.read(metric_id).judgements.scores)))
            for metric_id in plant.metric_ids
        )

    def counted(self, plant: Plant) -> int:
        with plant.database.unit_of_work(write=False):
            return judged_points(plant.org_id, 0, now_ms() + HOUR_MS)

    def test_equals_what_is_judged_also_after_a_rebuild_and_a_restart(self, plant: Plant) -> None:
        times, values = past(), noise()
        plant.send(plant.metric_ids[0], times, values)
        plant.send(plant.metric_ids[1], times[300:], values[300:])
        analyser = plant.analyser()
        drain(analyser)
        assert self.counted(plant) == self.judged_on_charts(plant) > 500

        plant.send(plant.metric_ids[1], times[:300], values[:300], is_backfill=True)
        drain(analyser)
        analyser.rebuild(plant.metric_ids[1])
        assert self.counted(plant) == self.judged_on_charts(plant) > 900

        drain(plant.analyser())
        assert self.counted(plant) == self.judged_on_charts(plant)

    def test_does_not_drift_when_a_rebuild_breaks_off_however_often(
        self, plant: Plant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It dies before, between and after the parts that it rewrites; points come meanwhile."""
        metric_id = plant.metric_ids[0]
        times, values = past(), noise()
        analyser = plant.analyser()
        # At first it is judged from its middle on; with its history it is from the beginning.
        plant.send(metric_id, times[300:-60], values[300:-60])
        drain(analyser)
        plant.send(metric_id, times[:300], values[:300], is_backfill=True)
        drain(analyser)
        read_series = ChunkStore.read_series

        def read_by_chunk(store: ChunkStore, metric_id: int) -> Iterator[Series]:
            for part in read_series(store, metric_id):
                starts = np.flatnonzero(np.diff(part.times // BUCKET_MS)) + 1
                yield from map(part.of, np.split(np.arange(len(part)), starts))

        monkeypatch.setattr(ChunkStore, "read_series", read_by_chunk)
        for attempt in range(6):
            fresh = slice(-60 + 10 * attempt, -50 + 10 * attempt or None)
            analyser = plant.analyser()
            left = iter(range(attempt))
            rewrite_scores = analyser._chunks.rewrite_scores

            def rewrite_some(*part: object, left=left, rewrite=rewrite_scores) -> None:
                if next(left, None) is None:
                    raise Killed
                rewrite(*part)

            analyser._chunks.rewrite_scores = rewrite_some
            # At last all are rewritten, but that is not written down.
            analyser._rebuilder._record_rebuilt = die
            with pytest.raises(Killed):
                analyser.rebuild(metric_id)
            analyser._chunks.rewrite_scores = rewrite_scores
            analyser = plant.analyser()
            plant.send(metric_id, times[fresh], values[fresh])
            drain(analyser)
            if attempt == 2:
                analyser.checkpoint(range(PARTITIONS))
        assert self.counted(plant) == POINTS - 400, "what was counted when points came"
        plant.analyser().rebuild(metric_id)
        assert self.counted(plant) == self.judged_on_charts(plant) == POINTS - 100
        plant.analyser().rebuild(metric_id)
        assert self.counted(plant) == self.judged_on_charts(plant)
