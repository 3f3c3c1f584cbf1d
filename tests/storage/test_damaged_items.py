"""Damaged bytes are kept as items, are never read as points, and stop no other read or write."""

import struct
import zlib
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from anomify.metric.store import CommittedBatch, PointStore
from anomify.series import Judgements
from anomify.storage.chunk_keys import BUCKET_MS, NEWEST_MS, OLDEST_MS, chunk_keys
from anomify.storage.chunks import ChunkStore
from anomify.storage.codec import Judged, decode_series, encode_judged, encode_series
from anomify.storage.damaged_items import DamagedItems, Kind
from anomify.storage.database import PointDatabase
from anomify.storage.errors import Damaged
from anomify.storage.log import PointLog
from anomify.storage.month_files import PointFiles
from anomify.storage.tables import LAYOUT, point_chunks, point_log
from tests.kit.points import (
    DAY,
    MINUTE,
    START,
    Machines,
    entry,
    judgements_of,
    pairs,
    points,
    series,
)

EVER = (OLDEST_MS, NEWEST_MS + 1)
ROWS = 40
_ids = count(1)


def fill(chunks: ChunkStore, *metric_ids: int, start: int = START) -> None:
    """Seal some judged points of each metric in two neighbouring buckets."""
    values = np.random.default_rng(1).normal(size=2 * ROWS)
    times = [start + bucket * BUCKET_MS + n * MINUTE for bucket in (0, 1) for n in range(ROWS)]
    rows = [
        (metric_id, time, float(value))
        for metric_id in metric_ids
        for time, value in zip(times, values, strict=True)
    ]
    chunks.seal(points(*rows), judgements_of(*[(0.25, 1.0, 2.0)] * len(rows)), 10)


def key_of(metric_id: int, time: int = START) -> int:
    return int(chunk_keys(points((metric_id, time, 0.0)))[0])


def month_of(database: PointDatabase, time: int = START) -> int:
    return int(database.months_of(np.array([time // BUCKET_MS]))[0])


def stored_blob(database: PointDatabase, metric_id: int) -> bytes:
    with database.reading_chunks(month_of(database)) as connection:
        blob = select(point_chunks.c.blob).where(point_chunks.c.chunk_key == key_of(metric_id))
        return bytes(connection.execute(blob).scalar_one())


def put_blob(database: PointDatabase, metric_id: int, blob: bytes) -> None:
    with database.writing_chunks(month_of(database)) as connection:
        connection.execute(
            update(point_chunks)
            .where(point_chunks.c.chunk_key == key_of(metric_id))
            .values(blob=blob)
        )


def with_new_checksum(blob: bytes) -> bytes:
    """Return the blob with the checksum of its bytes, as a faulty writer would write it."""
    if len(blob) < 15:
        return blob
    crc = zlib.crc32(blob[15:], zlib.crc32(blob[:11]))
    return blob[:11] + struct.pack("<I", crc) + blob[15:]


@st.composite
def damages(draw: st.DrawFn, blob: bytes) -> bytes:
    """Draw the blob with some bytes changed, removed or added."""
    damaged = bytearray(blob)
    kind = draw(st.sampled_from(["flips", "cut", "head", "longer", "nothing"]))
    if kind == "flips":
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(damaged) - 1))
            damaged[at] ^= draw(st.integers(1, 255))
    elif kind == "cut":
        damaged = damaged[: draw(st.integers(0, len(damaged) - 1))]
    elif kind == "head":
        damaged = damaged[draw(st.integers(1, len(damaged))) :]
    elif kind == "longer":
        damaged += draw(st.binary(min_size=1, max_size=20))
    else:
        damaged = bytearray()
    assume(bytes(damaged) != blob)
    return bytes(damaged)


class TestDamagedChunk:
    @given(data=st.data())
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_is_kept_as_an_item_and_other_chunks_are_read(
        self, machines: Machines, data: st.DataObject
    ) -> None:
        database = machines.open()
        store = PointStore(database)
        chunks = store.chunks
        broken, sound = next(_ids), next(_ids)
        fill(chunks, broken, sound)
        whole = pairs(chunks.read_all(sound))
        good = stored_blob(database, broken)
        bad = data.draw(damages(good))
        put_blob(database, broken, bad)
        before = chunks.damaged_items.newest()[1]
        late = (broken, START + MINUTE // 2, 7.0)
        met_by = data.draw(st.sampled_from(["read", "late", "seal", "rewrite", "latest", "count"]))
        expected = whole[ROWS:]
        if met_by == "read":
            assert pairs(store.read(broken, *EVER)) == whole[ROWS:]
        elif met_by == "late":
            assert np.isnan(chunks.values_at(points(late))).all()
        elif met_by == "seal":
            chunks.seal(points(late), Judgements.none(1), 11)
            expected = [late[1:], *whole[ROWS:]]
        elif met_by == "rewrite":
            times = np.array([time for time, _ in whole])
            chunks.rewrite_scores(broken, times, Judgements.none(len(times)))
        elif met_by == "latest":
            put_blob(database, broken, good)
            with database.writing_chunks(month_of(database)) as connection:
                connection.execute(
                    update(point_chunks)
                    .where(point_chunks.c.chunk_key == key_of(broken, START + BUCKET_MS))
                    .values(blob=bad)
                )
            [newest] = chunks.latest(np.array([broken]))
            assert pairs(newest.series) == whole[:ROWS]
            expected = whole[:ROWS]
        else:
            assert store.count(broken) == ROWS
        assert pairs(store.read(broken, *EVER)) == expected
        assert pairs(store.read(sound, *EVER)) == whole
        items = chunks.damaged_items.list()[before:]
        assert [(one.kind, one.metric_id) for one in items] == [(Kind.CHUNK, broken)]
        assert chunks.damaged_items.blob(items[0].id) == bad, "it is kept as it was found"
        store.follow()
        first = START if met_by != "latest" else START + BUCKET_MS
        assert store.missing(broken, *EVER) == [(first, first + BUCKET_MS)]
        assert store.missing(broken, START - DAY, START) == []
        assert store.missing(sound, *EVER) == []

    def test_with_a_valid_checksum_raises_no_other_error(self, machines: Machines) -> None:
        chunks = ChunkStore(machines.open())
        fill(chunks, 1)
        random = np.random.default_rng(5)
        good = encode_series(next(iter(chunks.read_series(1))))
        readable = 0
        for _ in range(3000):
            blob = bytearray(good)
            blob[int(random.integers(len(blob)))] ^= int(random.integers(1, 256))
            with suppress(Damaged):
                decode_series(with_new_checksum(bytes(blob)))
                readable += 1
        assert readable, "some bytes are values, which any byte may be"

    def test_of_another_time_or_without_points_is_damaged(self, machines: Machines) -> None:
        database = machines.open()
        chunks = ChunkStore(database)
        for metric_id, foreign in ((1, series((START + DAY, 1.0))), (2, series())):
            fill(chunks, metric_id)
            put_blob(database, metric_id, encode_series(foreign))
            assert len(chunks.read_all(metric_id)) == ROWS
        assert [one.metric_id for one in chunks.damaged_items.list()] == [1, 2]

    def test_is_reported_by_a_check_that_changes_nothing(self, machines: Machines) -> None:
        database = machines.open()
        chunks = ChunkStore(database)
        fill(chunks, 1, 2)
        put_blob(database, 2, b"rubbish")
        for _ in range(2):
            found = list(chunks.check())
            assert sum(count for count, _ in found) == 4
            [sentence] = [problem for _, problem in found if problem]
            assert sentence.startswith("the chunk of metric 2 from 2026-10-01T00:00Z: ")
        assert chunks.damaged_items.list() == []

    def test_item_is_deleted_with_its_metric_and_with_its_age(self, machines: Machines) -> None:
        database = machines.open()
        chunks = ChunkStore(database)
        fill(chunks, 1, 2)
        for metric_id in (1, 2):
            put_blob(database, metric_id, b"rubbish")
            chunks.read_all(metric_id)
        chunks.forget([1])
        assert [one.metric_id for one in chunks.damaged_items.list()] == [2]
        chunks.drop_before(START + BUCKET_MS - 1)
        assert len(chunks.damaged_items.list()) == 1
        chunks.drop_before(START + BUCKET_MS)
        assert chunks.damaged_items.list() == []


class TestDamagedEntry:
    @given(data=st.data())
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_is_left_out_by_every_reader_of_the_log(
        self, machines: Machines, data: st.DataObject
    ) -> None:
        database = machines.open()
        store, log = PointStore(database), PointLog(database)
        metric_id = next(_ids)
        offsets = [log.append(entry((metric_id, START + n, float(n)))) for n in range(4)]
        places = data.draw(st.sets(st.integers(0, len(offsets) - 1), min_size=1))
        bad = {offsets[place] for place in places}
        with database.writing_log() as connection:
            blob = connection.execute(
                select(point_log.c.entry).where(point_log.c.log_offset == min(bad))
            ).scalar_one()
            damaged = data.draw(damages(bytes(blob)))
            connection.execute(
                update(point_log).where(point_log.c.log_offset.in_(bad)).values(entry=damaged)
            )
        assert [offset for offset, _ in log.check() if offset >= offsets[0]] == sorted(bad)
        if data.draw(st.booleans()):
            store.follow()
        good = [offset for offset in offsets if offset not in bad]
        assert [row.offset for row in log.read(offsets[0] - 1)] == good
        assert [row.offset for row in log.read(offsets[0] - 1, most_rows=1)] == good[:1]
        store.follow()
        assert len(store.read(metric_id, *EVER)) == len(good)
        items = [one for one in DamagedItems(database).list() if one.subject >= offsets[0]]
        assert {(one.kind, one.subject) for one in items} == {(Kind.ENTRY, at) for at in bad}

    def test_offset_is_never_assigned_again(self, machines: Machines) -> None:
        log = PointLog(machines.open())
        last = log.append(entry((1, START, 1.0)))
        with machines.open().writing_log() as connection:
            connection.execute(update(point_log).values(entry=b"rubbish"))
        assert log.read(0) == []
        assert log.append(entry((1, START, 1.0))) > last


class TestDamagedScores:
    def test_are_left_out_and_later_batches_are_read(self, machines: Machines) -> None:
        database = machines.open()
        times = np.array([START, START + MINUTE])
        good = encode_judged(
            Judged(np.array([1, 1]), times, judgements_of((0.5, 1, 2), (0.5, 1, 2)))
        )
        batches = [CommittedBatch(1, 1, good[:-1]), CommittedBatch(2, 1, good)]
        store = PointStore(database, lambda after: [one for one in batches if one.id > after])
        store.append(entry((1, START, 1.0), (1, START + MINUTE, 2.0)))
        store.follow()
        found = store.read(1, *EVER)
        assert not np.isnan(found.judgements.scores).any()
        assert [(one.kind, one.subject) for one in store.chunks.damaged_items.list()] == [
            (Kind.SCORES, 1)
        ]


@pytest.mark.usefixtures("no_month_is_old")
class TestDamagedMonth:
    """A file of which SQLite itself cannot read the pages."""

    def files(self, tmp_path: Path) -> tuple[PointFiles, Path]:
        database = PointFiles(tmp_path)
        chunks = ChunkStore(database)
        fill(chunks, *range(1, 200))
        fill(chunks, 1, start=START + 40 * DAY)
        database.close()
        return PointFiles(tmp_path), tmp_path / "points-2026-10.db"

    def test_is_left_out_of_reads_and_replaced_by_the_next_write(self, tmp_path: Path) -> None:
        for damage in ("pages", "head", "cut", "empty"):
            folder = tmp_path / damage
            database, path = self.files(folder)
            whole = path.read_bytes()
            half = len(whole) // 2 // 8192 * 8192
            path.write_bytes(
                {
                    "pages": whole[:half] + bytes(2 * 8192) + whole[half + 2 * 8192 :],
                    "head": bytes(4096) + whole[4096:],
                    "cut": whole[:half],
                    "empty": b"",
                }[damage]
            )
            chunks = ChunkStore(database)
            other = PointStore(PointFiles(folder))
            for metric_id in range(1, 200):
                found = pairs(chunks.read_all(metric_id))
                assert len(found) % ROWS == 0
            assert len(chunks.read_all(1)) >= 2 * ROWS, "the other month is whole"
            assert Kind.MONTH in {one.kind for one in chunks.damaged_items.list()}
            other.follow()
            assert other.missing(150, START, START + DAY)
            assert other.missing(1, START + 40 * DAY, START + 41 * DAY) == []
            late = points(*((each, START + MINUTE // 2, 7.0) for each in range(1, 200)))
            chunks.seal(late, Judgements.none(len(late)), 11)
            for metric_id in range(1, 200):
                found = pairs(other.read(metric_id, *EVER))
                assert (START + MINUTE // 2, 7.0) in found
            assert path.exists(), "the damaged file stays for the operator"
            assert (folder / "points-2026-10.1.db").exists()
            assert [problem for _, problem in chunks.check() if problem] == []
            reopened = PointFiles(folder)
            assert (START + MINUTE // 2, 7.0) in pairs(ChunkStore(reopened).read_all(150))
            other.close()
            reopened.close()
            chunks.drop_before(START + 40 * DAY)
            assert not list(folder.glob("points-2026-10*"))

    def test_is_kept_if_only_one_blob_has_another_type(self, tmp_path: Path) -> None:
        database, _ = self.files(tmp_path)
        chunks = ChunkStore(database)
        with database.writing_chunks(month_of(database)) as connection:
            connection.execute(
                text("UPDATE point_chunks SET blob = 'text' WHERE chunk_key = :k"), {"k": key_of(7)}
            )
        assert len(chunks.read_all(7)) == ROWS
        assert [one.metric_id for one in chunks.damaged_items.list()] == [7]

    def test_log_of_an_older_version_gets_the_missing_table(self, tmp_path: Path) -> None:
        database = PointFiles(tmp_path)
        PointLog(database).append(entry((1, START, 1.0)))
        with database.writing_log() as connection:
            connection.execute(text("DROP TABLE point_set_aside"))
            assert connection.execute(text("PRAGMA user_version")).scalar() == LAYOUT
        database.close()
        assert DamagedItems(PointFiles(tmp_path)).list() == []
