"""Windows of a metric: every point of a short one, the extremes of a long one, never too much."""

import numpy as np
import pytest

from anomify.errors import Invalid
from anomify.metric.reading import (
    MOST_RAW,
    MOST_SHOWN,
    as_read,
    rate_of,
    read_raw,
    read_to_thin,
)
from anomify.metric.store import PointStore
from anomify.series import Judgements, Points, Series
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.chunk_rows import MOST_CHUNKS_READ
from anomify.storage.database import PointDatabase
from tests.kit.points import START

SECOND = 1000


def sealed(point_database: PointDatabase, count: int, step_ms: int) -> PointStore:
    """A store in which metric 1 has that many points, so far from each other."""
    store = PointStore(point_database)
    times = START + step_ms * np.arange(count, dtype=np.int64)
    points = Points(np.ones(count, np.int64), times, np.arange(count, dtype=np.float64))
    store.chunks.seal(points, Judgements.none(count), 1)
    return store


def series(count: int, step_ms: int = SECOND) -> Series:
    times = START + step_ms * np.arange(count, dtype=np.int64)
    return Series(times, np.arange(count, dtype=np.float64), Judgements.none(count))


class TestReadRaw:
    def test_gives_as_many_points_as_a_reply_holds_and_no_more(self, point_database):
        store = sealed(point_database, MOST_RAW + 1, SECOND)
        until_ms = START + MOST_RAW * SECOND
        found = read_raw(store, 1, START, until_ms)
        assert found.values.tolist() == list(range(MOST_RAW))
        with pytest.raises(Invalid, match="200,000"):
            read_raw(store, 1, START, until_ms + 1)


class TestReadToThin:
    def test_reads_many_more_than_a_reply_holds(self, point_database):
        store = sealed(point_database, MOST_RAW + 1, SECOND)
        assert len(read_to_thin(store, 1, START, START + (MOST_RAW + 1) * SECOND)) == MOST_RAW + 1


class TestMostPoints:
    def test_stops_reading_once_there_are_more(self, point_database):
        count = 2 * MOST_CHUNKS_READ + 7
        store = sealed(point_database, count, BUCKET_MS)
        window = (1, START, START + count * BUCKET_MS)
        assert store.read(*window).values.tolist() == list(range(count))
        assert len(store.read(*window, most_points=count)) == count
        assert 10 < len(store.read(*window, most_points=10)) <= MOST_CHUNKS_READ

    def test_does_not_count_what_lies_outside_of_the_window(self, point_database):
        store = sealed(point_database, 4, BUCKET_MS // 2)
        found = store.read(1, START + 1, START + BUCKET_MS + 1, most_points=2)
        assert found.values.tolist() == [1, 2]


class TestAsRead:
    def test_leaves_a_short_window_as_it_is(self):
        reading = as_read(series(MOST_SHOWN))
        assert (len(reading.values), reading.is_downsampled) == (MOST_SHOWN, False)
        assert reading.rates is None

    def test_thins_a_long_one_to_what_a_chart_can_show(self):
        reading = as_read(series(10 * MOST_SHOWN))
        stretch = (reading.values.times[-1] - reading.values.times[0]) / 1000 / 999
        assert reading.step_seconds == pytest.approx(stretch, abs=0.001)
        assert len(reading.values) <= MOST_SHOWN
        assert reading.is_downsampled

    def test_gives_the_extremes_of_each_step(self):
        reading = as_read(series(120), step_seconds=60)
        assert reading.step_seconds == 60
        assert reading.values.values.tolist() == [0, 59, 60, 119]

    def test_refuses_a_step_that_leaves_more_than_a_reply_holds(self):
        with pytest.raises(Invalid, match="coarser"):
            as_read(series(MOST_RAW + 1), step_seconds=1)

    def test_adds_the_rate_on_request(self):
        reading = as_read(series(3), rates=rate_of(series(3)))
        assert reading.rates.values.tolist() == [1, 1]


class TestRateOf:
    def test_has_none_for_the_first_point(self):
        found = rate_of(series(3, step_ms=10 * SECOND))
        assert found.times.tolist() == [START + 10 * SECOND, START + 20 * SECOND]
        assert found.values.tolist() == [0.1, 0.1]

    def test_is_empty_for_one_point_alone(self):
        assert len(rate_of(series(1))) == 0
