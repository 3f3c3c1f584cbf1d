"""Databases of points of either kind, and points that read like a table."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sqlalchemy import create_engine

from anomify.db_engine import meta_url
from anomify.series import Judgements, Points, Series
from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.database import PointDatabase
from anomify.storage.log import Entry
from anomify.storage.month_files import PointFiles
from anomify.storage.postgresql import PointTables

# The first moment of a bucket, of a day and of a month: 1 October 2026.
START = 1_790_812_800_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

assert START % BUCKET_MS == 0

Row = tuple[int, int, float]
ScoreAndRange = tuple[float, float, float]


class Machines:
    """Several processes that share one database of points, as far as a test can tell."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.folder = folder
        self._closers: list[Callable[[], None]] = []

    def open(self, **options: int) -> PointDatabase:
        """Open the same points once more, as another process would."""
        if self._url.startswith("sqlite"):
            database = PointFiles(self.folder, **options)
            self._closers.append(database.close)
            return database
        engine = create_engine(meta_url(self._url))
        self._closers.append(engine.dispose)
        return PointTables(engine)

    def close(self) -> None:
        for close in self._closers:
            close()


def points(*rows: Row) -> Points:
    """Points of (metric, time, value)."""
    return Points(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


def entry(*rows: Row) -> Entry:
    return Entry(points(*rows), Points.empty())


def judgements_of(*rows: ScoreAndRange) -> Judgements:
    """Judgements of (score, lower, upper)."""
    columns = np.array(rows, np.float32).reshape(-1, 3)
    return Judgements(*(np.ascontiguousarray(column) for column in columns.T))


def no_judgements(count: int) -> Judgements:
    return Judgements.none(count)


def series(*rows: tuple[int, float]) -> Series:
    """A series of (time, value) without judgements."""
    times = np.array([row[0] for row in rows], np.int64)
    return Series(times, np.array([row[1] for row in rows], np.float64), no_judgements(len(rows)))


def pairs(found: Series) -> list[tuple[int, float]]:
    """Times and values of a series, as a test likes to read them."""
    return list(zip(found.times.tolist(), found.values.tolist(), strict=True))


def scores(found: Series) -> list[float | None]:
    """Scores of a series to two digits, None where not judged."""
    return [
        None if np.isnan(score) else round(float(score), 2) for score in found.judgements.scores
    ]


def rows_of(batches: Iterable[Points]) -> list[Row]:
    """Points as (metric, time, value) again."""
    joined = Points.joined(list(batches))
    return list(
        zip(joined.metric_ids.tolist(), joined.times.tolist(), joined.values.tolist(), strict=True)
    )
