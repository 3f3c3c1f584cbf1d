"""A metric with one point a month does not make reads of other metrics open its months."""

import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from anomify.series import Judgements
from anomify.storage import month_metrics, open_files
from anomify.storage.chunk_keys import NEWEST_MS, OLDEST_MS
from anomify.storage.chunks import ChunkStore
from anomify.storage.month_files import PointFiles
from tests.kit.points import DAY, MINUTE, START, pairs, points

EVER = (OLDEST_MS, NEWEST_MS + 1)
MONTHS = 30


def seal(chunks: ChunkStore, *rows: tuple[int, int, float]) -> None:
    chunks.seal(points(*rows), Judgements.none(len(rows)), 1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are opened from now on."""
    names: list[str] = []
    plain = open_files.open_file

    def noting(path: Path) -> object:
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(open_files, "open_file", noting)
    # Each reading of the clock is a minute later: a file seen twice has not changed for long.
    seconds = count(1, 60)
    monkeypatch.setattr(month_metrics.time, "monotonic", lambda: float(next(seconds)))
    return names


class TestAllTimeRead:
    def test_opens_only_the_months_of_the_metric(self, tmp_path: Path, opened: list[str]) -> None:
        chunks = ChunkStore(PointFiles(tmp_path))
        sparse = [(1, START - month * 31 * DAY, float(month)) for month in range(MONTHS)]
        seal(chunks, *sparse)
        recent = [(2, START + n * MINUTE, float(n)) for n in range(100)]
        seal(chunks, *recent)
        reader = ChunkStore(PointFiles(tmp_path))
        for _ in range(3):
            opened.clear()
            assert len(reader.read_all(2)) == 100
        assert len(opened) <= 1
        assert len(reader.read_all(1)) == MONTHS
        assert reader.read_all(3).times.tolist() == []

    @pytest.mark.usefixtures("opened")
    def test_has_what_another_process_has_just_written(self, tmp_path: Path) -> None:
        writer, reader = ChunkStore(PointFiles(tmp_path)), ChunkStore(PointFiles(tmp_path))
        seal(writer, *((1, START - month * 31 * DAY, 1.0) for month in range(MONTHS)))
        random = np.random.default_rng(3)
        expected: list[tuple[int, float]] = []
        for _ in range(20):
            for path in tmp_path.iterdir():
                # As if the file had not been written for a while.
                os.utime(path, (1_790_000_000, 1_790_000_000))
            assert pairs(reader.read_all(2)) == sorted(expected)
            assert len(reader.read_all(1)) == MONTHS
            time = START - int(random.integers(MONTHS)) * 31 * DAY + len(expected) * MINUTE
            expected.append((time, 2.0))
            seal(writer, (2, time, 2.0))
        writer.forget([2])
        assert pairs(reader.read_all(2)) == []

    @pytest.mark.usefixtures("opened")
    def test_opens_a_month_of_very_many_metrics(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(month_metrics, "MOST_METRICS_KNOWN", 5)
        chunks = ChunkStore(PointFiles(tmp_path))
        for metric_id in range(1, 9):
            seal(chunks, *((metric_id, START - month * 31 * DAY, 1.0) for month in range(6)))
        for _ in range(4):
            assert [len(chunks.read_all(each)) for each in range(1, 10)] == [6] * 8 + [0]
