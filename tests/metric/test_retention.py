"""Old points are deleted by their own time, and only where retention is set."""

from anomify.metric.retention import retain
from anomify.metric.store import PointStore
from anomify.storage.chunk_keys import BUCKET_MS, NEWEST_MS, OLDEST_MS
from anomify.storage.database import PointDatabase
from anomify.storage.month_files import PointFiles
from tests.kit.points import DAY, HOUR, START, entry, no_judgements, pairs, points

EVER = (OLDEST_MS, NEWEST_MS + 1)
NOW = START + 10 * DAY
AGES = [100, 45, 31, 30, 29, 1, 0]


def filled(database: PointDatabase) -> PointStore:
    store = PointStore(database)
    rows = [(1, NOW - age * DAY, float(age)) for age in AGES]
    offset = store.append(entry(*rows))
    store.chunks.seal(points(*rows), no_judgements(len(rows)), offset)
    store.log.prune(offset)
    store.follow()
    return store


def ages(store: PointStore) -> list[float]:
    return [value for _, value in pairs(store.read(1, *EVER))]


class TestRetain:
    def test_is_off_unless_days_are_set(self, point_database: PointDatabase) -> None:
        store = filled(point_database)
        retain(store, None, NOW)
        assert ages(store) == AGES

    def test_forgets_by_the_time_the_points_are_of(self, point_database: PointDatabase) -> None:
        store = filled(point_database)
        retain(store, 30, NOW)
        assert ages(store) == [30, 29, 1, 0]
        retain(store, 30, NOW)
        assert ages(store) == [30, 29, 1, 0]

    def test_forgets_late_points_of_long_ago_again(self, point_database: PointDatabase) -> None:
        store = filled(point_database)
        retain(store, 30, NOW)
        late = (1, NOW - 100 * DAY, 7.0)
        store.chunks.seal(points(late), no_judgements(1), store.append(entry(late)))
        store.log.prune(store.log.last_offset())
        store.follow()
        assert ages(store) == [7, 30, 29, 1, 0]
        retain(store, 30, NOW)
        assert ages(store) == [30, 29, 1, 0]

    def test_keeps_a_bucket_until_all_of_it_is_old(self, point_database: PointDatabase) -> None:
        store = filled(point_database)
        retain(store, 30, NOW + HOUR)
        assert 30 in ages(store)
        retain(store, 30, NOW + BUCKET_MS)
        assert 30 not in ages(store)

    def test_removes_whole_months_from_the_disk(self, point_database: PointDatabase) -> None:
        store = filled(point_database)
        before = store.chunks.size_bytes()
        retain(store, 1, NOW)
        if isinstance(point_database, PointFiles):
            assert store.chunks.size_bytes() < before
        assert ages(store) == [1, 0]
