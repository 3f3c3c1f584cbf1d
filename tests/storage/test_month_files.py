"""The SQLite files of points: creation, opening, closing and removal."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from anomify.errors import Unavailable
from anomify.storage import sqlite_file
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.chunk_reader import Chunk
from anomify.storage.chunks import ChunkStore
from anomify.storage.errors import NewerLayout
from anomify.storage.log import PointLog
from anomify.storage.month_files import PointFiles
from anomify.storage.tables import LAYOUT
from tests.kit.points import DAY, HOUR, START, entry, series
from tests.kit.threads import problems_of_two

MONTH = 681  # October 2026, counted from January 1970


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder?with#odd%signs"


pytestmark = pytest.mark.usefixtures("no_month_is_old")


def chunk(at: int, metric_id: int = 1) -> Chunk:
    return Chunk(metric_id, at // BUCKET_MS * BUCKET_MS, 1, series((at, 1.0)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestPointFiles:
    def test_keep_the_log_and_each_month_in_a_file_of_its_own(self, folder: Path) -> None:
        files = PointFiles(folder)
        PointLog(files).append(entry((1, START, 1.0)))
        ChunkStore(files).write([chunk(START), chunk(START - 1), chunk(START + 31 * DAY)])
        files.close()
        assert names(folder) == [
            "log.db",
            "points-2026-09.db",
            "points-2026-10.db",
            "points-2026-11.db",
        ]

    def test_are_not_created_by_reading(self, folder: Path) -> None:
        files = PointFiles(folder)
        assert ChunkStore(files).read(1, START, START + DAY) == []
        assert files.size_bytes() == 0
        with files.reading_chunks(MONTH) as connection:
            assert connection is None
        assert not folder.exists()

    def test_use_a_write_ahead_log_and_full_synchronisation(self, folder: Path) -> None:
        files = PointFiles(folder)
        ChunkStore(files).write([chunk(START)])
        with files.reading_chunks(MONTH) as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
            assert connection.execute(text("PRAGMA user_version")).scalar() == 1
            assert connection.execute(text("PRAGMA page_size")).scalar() == sqlite_file.PAGE_BYTES
        with files.reading_log() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        files.close()

    def test_of_a_newer_version_are_refused(self, folder: Path) -> None:
        files = PointFiles(folder)
        ChunkStore(files).write([chunk(START)])
        files.close()
        changed = sqlite3.connect(folder / "points-2026-10.db")
        changed.execute(f"PRAGMA user_version={LAYOUT + 1}")
        changed.close()
        again = PointFiles(folder)
        with pytest.raises(NewerLayout):
            ChunkStore(again).read(1, START, START + DAY)
        again.close()

    def test_stay_open_only_so_many_at_a_time(self, folder: Path) -> None:
        files = PointFiles(folder, most_open=3)
        chunks = ChunkStore(files)
        chunks.write([chunk(START + n * 31 * DAY) for n in range(6)])
        assert len(files._open_files.by_month) == 3
        for n in range(6):
            assert len(chunks.read(1, START + n * 31 * DAY, START + n * 31 * DAY + HOUR)) == 1
        assert len(files._open_files.by_month) == 3
        files.close()

    def test_are_not_closed_while_one_is_read(self, folder: Path) -> None:
        files = PointFiles(folder, most_open=1)
        chunks = ChunkStore(files)
        chunks.write([chunk(START + n * 31 * DAY) for n in range(4)])
        with files.reading_chunks(MONTH) as connection:
            used = files._open_files.by_month[MONTH]
            for n in range(1, 4):
                chunks.read(1, START + n * 31 * DAY, START + n * 31 * DAY + HOUR)
            assert files._open_files.by_month[MONTH] is used
            assert connection.execute(text("SELECT count(*) FROM point_chunks")).scalar() == 1
            files.close()
            assert connection.execute(text("SELECT count(*) FROM point_chunks")).scalar() == 1
        assert used.engine.pool.checkedin() == 0

    def test_created_by_two_threads_at_once_are_one_file(self, folder: Path) -> None:
        files = [PointFiles(folder), PointFiles(folder)]

        def write(number: int) -> None:
            ChunkStore(files[number]).write([chunk(START, number)])
            PointLog(files[number]).append(entry((number, START, 1.0)))

        assert problems_of_two(write) == []
        assert [len(ChunkStore(files[0]).read(number, START, START + 1)) for number in (0, 1)] == [
            1,
            1,
        ]
        assert len(PointLog(files[1]).read(0)) == 2
        for one in files:
            one.close()
        assert names(folder) == ["log.db", "points-2026-10.db"]

    def test_raise_unavailable_while_another_process_writes_for_long(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0)
        mine, other = PointFiles(folder), PointFiles(folder)
        log = PointLog(mine)
        log.append(entry((1, START, 1.0)))
        with other.writing_log(), pytest.raises(Unavailable):
            log.append(entry((2, START, 2.0)))
        assert len(log.read(0)) == 1
        mine.close()
        other.close()

    def test_have_names_for_months_before_1970(self, folder: Path) -> None:
        files = PointFiles(folder)
        buckets = np.array([-1, 0, START // BUCKET_MS])
        assert files.months_of(buckets).tolist() == [-1, 0, MONTH]
        ChunkStore(files).write([chunk(-1)])
        assert files.months(-10, 10) == [-1]
        files.close()
        assert names(folder) == ["points-1969-12.db"]


class TestDropMonth:
    def test_removes_the_file(self, folder: Path) -> None:
        files = PointFiles(folder)
        ChunkStore(files).write([chunk(START)])
        files.drop_month(MONTH)
        assert names(folder) == []
        files.drop_month(MONTH)
        assert ChunkStore(files).read(1, START, START + DAY) == []
        files.close()

    def test_only_empties_what_another_process_has_open_and_removes_it_later(
        self, folder: Path
    ) -> None:
        mine, other = PointFiles(folder), PointFiles(folder)
        ChunkStore(mine).write([chunk(START, metric_id) for metric_id in range(2000)])
        assert len(ChunkStore(other).read(1, START, START + DAY)) == 1
        full = mine.size_bytes()
        mine.drop_month(MONTH)
        assert ChunkStore(other).read(1, START, START + DAY) == []
        assert mine.size_bytes() < full / 3
        other.close()
        mine.drop_month(MONTH)
        assert names(folder) == []
        mine.close()

    def test_is_noticed_by_others_if_the_month_is_created_again(self, folder: Path) -> None:
        mine, other = PointFiles(folder), PointFiles(folder)
        ChunkStore(mine).write([chunk(START)])
        mine.drop_month(MONTH)
        ChunkStore(other).write([chunk(START, 2)])
        assert ChunkStore(mine).read(1, START, START + DAY) == []
        assert len(ChunkStore(mine).read(2, START, START + DAY)) == 1
        mine.close()
        other.close()

    def test_of_a_month_that_was_open_elsewhere_is_read_as_empty(self, folder: Path) -> None:
        mine, other = PointFiles(folder), PointFiles(folder)
        ChunkStore(mine).write([chunk(START)])
        with mine.reading_chunks(MONTH):
            pass
        mine._open_files.by_month[MONTH].engine.dispose()
        other.drop_month(MONTH)
        assert names(folder) == []
        assert ChunkStore(mine).read(1, START, START + DAY) == []
        mine.close()
        other.close()
