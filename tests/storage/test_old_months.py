"""Old months with few chunks share one file; interrupted moves lose and repeat nothing."""

import os
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

from anomify.clock import now_ms
from anomify.errors import Unavailable
from anomify.metric.store import PointStore
from anomify.series import Judgements
from anomify.storage import month_files, months, old_month_moves, open_files, sqlite_file
from anomify.storage.chunk_keys import BUCKET_MS, NEWEST_MS, OLDEST_MS
from anomify.storage.chunks import ChunkStore
from anomify.storage.damaged_items import Kind
from anomify.storage.month_files import PointFiles
from tests.kit.points import DAY, MINUTE, START, pairs, points

EVER = (OLDEST_MS, NEWEST_MS + 1)
METRICS = (1, 2, 3)
OLDEST = START - 400 * 31 * DAY


@pytest.fixture(autouse=True)
def _in_november_2026(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let START be a month ago, at whatever time this runs."""
    november = int(np.datetime64("2026-11", "M").astype(np.int64))
    monkeypatch.setattr(months, "month_now", lambda: november)


def seal(chunks: ChunkStore, *rows: tuple[int, int, float], through: int = 1) -> None:
    chunks.seal(points(*rows), Judgements.none(len(rows)), through)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("points-*.db"))


def months_back(count: int, metric_id: int = 1) -> list[tuple[int, int, float]]:
    """One point a month, the newest of them last year."""
    return [(metric_id, START - (12 + month) * 31 * DAY, float(month)) for month in range(count)]


def let_age(folder: Path, seconds: int = 86_400) -> None:
    """Set the times of files as if they had not been written for long."""
    changed = now_ms() // 1000 - seconds
    for path in folder.glob("points-*"):
        os.utime(path, (changed, changed))


def with_own_files(folder: Path, rows: list[tuple[int, int, float]]) -> None:
    """Store points as an older version did, with one file for every month."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(months, "OLD_AFTER_MONTHS", 10_000)
        files = PointFiles(folder)
        seal(ChunkStore(files), *rows)
        files.close()


class Killed(BaseException):
    """Ends a move in a test, in place of kill -9."""


def kill(*_: object, **__: object) -> Never:
    raise Killed


class TestOldMonths:
    def test_share_one_file_until_they_are_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = PointFiles(tmp_path)
        chunks, other = ChunkStore(files), ChunkStore(PointFiles(tmp_path))
        sparse = months_back(40)
        seal(chunks, *sparse)
        assert names(tmp_path) == ["points-old.db"]
        assert len(other.read_all(1)) == 40
        assert other.read_all(2).times.tolist() == []
        monkeypatch.setattr(month_files, "MOST_CHUNKS_SHARED", 20)
        at = sparse[7][1]
        dense = [(metric_id, at, 1.0) for metric_id in range(2, 30)]
        seal(chunks, *dense)
        assert len(names(tmp_path)) == 2
        seal(chunks, (1, at + MINUTE, 5.0), (2, at + MINUTE, 6.0), through=2)
        for reader in (chunks, other, ChunkStore(PointFiles(tmp_path))):
            assert len(reader.read_all(1)) == 41
            assert pairs(reader.read_all(2)) == [(at, 1.0), (at + MINUTE, 6.0)]
            assert reader.greatest_metric() == 29
            newest = reader.latest(np.array([1, 2, 77]))
            assert [(one.metric_id, len(one.series)) for one in newest] == [(1, 1), (2, 2)]
        assert sum(count for count, _ in chunks.check()) == 40 + 28

    def test_are_packed_and_given_their_own_file_without_losing_or_doubling_anything(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In whatever order, and wherever it is cut short, all that was sealed is read."""
        monkeypatch.setattr(month_files, "MOST_CHUNKS_SHARED", 4)
        monkeypatch.setattr(old_month_moves, "MOST_CHUNKS_PACKED", 3)
        plain = {name: getattr(sqlite_file, name) for name in ("make_file", "sync_folder")}

        def then_kill(name: str) -> Any:
            def killed(*arguments: Any) -> Never:
                plain[name](*arguments)
                raise Killed

            return killed

        for seed in range(5):
            random = np.random.default_rng(seed)
            folder = tmp_path / str(seed)
            kept: dict[tuple[int, int], float] = {}
            first = [
                (int(random.choice(METRICS)), START - n * 40 * DAY, float(n)) for n in range(12, 30)
            ]
            with_own_files(folder, first)
            kept |= {(metric_id, time): value for metric_id, time, value in first}
            files = PointFiles(folder)
            stores = [ChunkStore(files), ChunkStore(PointFiles(folder))]
            for step in range(2, 34):
                store = stores[0]
                action = random.choice(["seal", "seal", "pack", "killed", "forget", "drop"])
                if action == "seal":
                    at = START - int(random.integers(12, 30)) * 40 * DAY
                    rows = [
                        (int(random.choice(METRICS)), at + n * 5 * 3600_000, float(step))
                        for n in range(int(random.integers(1, 4)))
                    ]
                    seal(store, *rows, through=step)
                    kept |= {(metric_id, time): value for metric_id, time, value in rows}
                elif action == "forget" and step % 4 == 0:
                    gone = int(random.choice(METRICS))
                    store.forget([gone])
                    kept = {key: value for key, value in kept.items() if key[0] != gone}
                elif action == "drop" and step % 4 == 0:
                    before = START - int(random.integers(20, 30)) * 40 * DAY
                    store.drop_before(before)
                    whole = before // BUCKET_MS * BUCKET_MS
                    kept = {key: value for key, value in kept.items() if key[1] >= whole}
                elif action in {"pack", "killed"}:
                    let_age(folder)
                    with pytest.MonkeyPatch.context() as patch:
                        if action == "killed":
                            where = str(random.choice(["unlink", "sync_folder", "make_file"]))
                            if where == "unlink":
                                patch.setattr(Path, "unlink", kill)
                            else:
                                for module in (sqlite_file, open_files, old_month_moves):
                                    if hasattr(module, where):
                                        patch.setattr(module, where, then_kill(where))
                        for each in stores:
                            each._database.close()
                        try:
                            store.pack_old_months(3)
                            store._database._moves.give_own_file(
                                int(
                                    np.datetime64(START - 15 * 40 * DAY, "ms")
                                    .astype("datetime64[M]")
                                    .astype(int)
                                )
                            )
                        except Killed:
                            pass
                    store._database.close()
                    stores[0] = ChunkStore(PointFiles(folder))
                for reader in stores:
                    found = {
                        (metric_id, time): value
                        for metric_id in METRICS
                        for time, value in pairs(reader.read_all(metric_id))
                    }
                    assert found == kept, (seed, step, action)
            for each in stores:
                each._database.close()

    def test_of_an_older_version_are_packed_some_at_a_time(self, tmp_path: Path) -> None:
        rows = months_back(30)
        with_own_files(tmp_path, [*rows, (2, START, 1.0)])
        assert len(names(tmp_path)) == 31
        files = PointFiles(tmp_path)
        chunks = ChunkStore(files)
        let_age(tmp_path, 60)
        assert chunks.pack_old_months(16) == 0, "somebody wrote them just now"
        let_age(tmp_path)
        reader = PointFiles(tmp_path)
        with reader.reading_chunks(files.months(-(1 << 20), (1 << 20) - 1)[0]) as connection:
            assert connection is not None
            assert chunks.pack_old_months(16) == 16
        assert chunks.pack_old_months(16) == 13
        assert chunks.pack_old_months(16) == 0, "one is open elsewhere"
        reader.close()
        assert chunks.pack_old_months(16) == 1
        assert chunks.pack_old_months(16) == 0
        assert len([name for name in names(tmp_path) if name != "points-old.db"]) == 1
        for store in (chunks, ChunkStore(reader)):
            assert sorted(pairs(store.read_all(1))) == sorted((at, value) for _, at, value in rows)

    def test_are_read_whole_while_they_move(self, tmp_path: Path) -> None:
        rows = months_back(6)
        with_own_files(tmp_path, rows)
        files = PointFiles(tmp_path)
        chunks, reader = ChunkStore(files), ChunkStore(PointFiles(tmp_path))
        months = files.months(-(1 << 20), (1 << 20) - 1)
        for _ in range(5):
            reader._database.close()
            let_age(tmp_path)
            assert chunks.pack_old_months(9) == 6
            assert len(reader.read_all(1)) == 6
            for month in months:
                files._moves.give_own_file(month)
                assert len(reader.read_all(1)) == 6
            files.close()

    def test_writes_after_a_move_go_to_the_shared_file(self, tmp_path: Path) -> None:
        rows = months_back(4)
        with_own_files(tmp_path, rows)
        chunks, other = ChunkStore(PointFiles(tmp_path)), ChunkStore(PointFiles(tmp_path))
        seal(other, (1, rows[0][1] + MINUTE, 7.0), through=2)
        other._database._open_files.retire(other._database.months(-(1 << 20), (1 << 20) - 1)[-1])
        let_age(tmp_path)
        assert chunks.pack_old_months(9) == 4
        seal(other, (1, rows[0][1] + 2 * MINUTE, 8.0), through=3)
        assert len(chunks.read_all(1)) == 6
        assert names(tmp_path) == ["points-old.db"]

    def test_damaged_shared_file_is_replaced_by_the_next_write(self, tmp_path: Path) -> None:
        for damage in ("head", "cut", "empty"):
            folder = tmp_path / damage
            files = PointFiles(folder)
            chunks = ChunkStore(files)
            seal(chunks, *months_back(200))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(months, "OLD_AFTER_MONTHS", 10_000)
                seal(chunks, (2, START, 1.0), (1, START, 1.0))
            files.close()
            path = folder / "points-old.db"
            whole = path.read_bytes()
            path.write_bytes(
                {"head": bytes(4096) + whole[4096:], "cut": whole[:8192], "empty": b""}[damage]
            )
            store = PointStore(PointFiles(folder))
            store.follow()
            assert len(store.read(2, *EVER)) == 1
            assert len(store.read(1, *EVER)) >= 1
            assert store.missing(1, OLDEST, START), "the missing span is reported"
            assert store.missing(2, START, START + DAY) == []
            assert any(problem for _, problem in store.chunks.check())
            late = months_back(1)[0][1] + MINUTE
            seal(store.chunks, (1, late, 9.0), through=2)
            assert (late, 9.0) in pairs(store.read(1, *EVER))
            assert path.exists(), "the damaged file stays for the operator"
            assert (folder / "points-old.1.db").exists()
            assert {one.kind for one in store.chunks.damaged_items.list()} == {Kind.MONTH}
            assert [problem for _, problem in store.chunks.check() if problem] == []
            store.close()

    def test_are_deleted_by_retention_and_free_their_disk_space(self, tmp_path: Path) -> None:
        files = PointFiles(tmp_path)
        chunks = ChunkStore(files)
        random = np.random.default_rng(1)
        rows = [
            (metric_id, at + n * MINUTE, float(random.normal()))
            for metric_id in range(1, 11)
            for _, at, _ in months_back(20)
            for n in range(240)
        ]
        seal(chunks, *rows)
        files.close()
        path = tmp_path / "points-old.db"
        full = path.stat().st_size
        chunks.drop_before(START - 13 * 31 * DAY)
        assert len(chunks.read_all(1)) == 480
        files.close()
        assert path.stat().st_size < full / 4
        chunks.drop_before(START)
        assert chunks.read_all(1).times.tolist() == []
        assert files.months(-(1 << 20), (1 << 20) - 1) == []

    def test_written_while_the_clock_was_wrong_move_to_the_months_own_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        chunks = ChunkStore(PointFiles(tmp_path))
        november = months.month_now()
        monkeypatch.setattr(months, "month_now", lambda: november + 600)
        seal(chunks, (1, START, 1.0))
        assert names(tmp_path) == ["points-old.db"]
        monkeypatch.setattr(months, "month_now", lambda: november)
        seal(chunks, (2, START, 2.0))
        assert pairs(chunks.read(1, START, START + DAY)[0].series) == [(START, 1.0)]
        assert len(names(tmp_path)) == 2

    def test_raise_unavailable_while_the_shared_file_is_busy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0)
        mine, other = PointFiles(tmp_path), PointFiles(tmp_path)
        seal(ChunkStore(mine), *months_back(1))
        with other.writing_chunks(months.OLD_MONTHS), pytest.raises(Unavailable):
            seal(ChunkStore(mine), *months_back(1), through=2)
