"""Finds the chunks of months in the file that old months share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from anomify.storage.chunk_keys import KEY_BUCKET_BITS, buckets_of_keys
from anomify.storage.months import key_endings, months_of
from anomify.storage.tables import BUCKET_MASK

COLUMNS = "chunk_key, through_offset, blob"
FROM_MONTH = f"FROM point_chunks WHERE chunk_key & {BUCKET_MASK} BETWEEN ? AND ?"
_NEXT_BUCKET = (
    f"SELECT chunk_key & {BUCKET_MASK} {FROM_MONTH} ORDER BY chunk_key & {BUCKET_MASK} LIMIT 1"
)
_NEXT_KEY = (
    "SELECT chunk_key FROM point_chunks WHERE chunk_key BETWEEN ? AND ? ORDER BY chunk_key LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class ChunkSearch:
    """A statement that finds the next chunk, and the numbers between which it searches."""

    next_one: str
    first: int
    last: int


def search_by_bucket(first_month: int, last_month: int) -> ChunkSearch:
    """Return the search for chunks of any metric in these months."""
    return ChunkSearch(_NEXT_BUCKET, key_endings(first_month)[0], key_endings(last_month)[1])


def search_by_metric(metric_id: int, first_month: int, last_month: int) -> ChunkSearch:
    """Return the search for chunks of one metric in these months."""
    metric = metric_id << KEY_BUCKET_BITS
    first, last = key_endings(first_month)[0], key_endings(last_month)[1]
    return ChunkSearch(_NEXT_KEY, metric | first, metric | last)


def has_more_chunks(connection: Connection, month: int, most: int) -> bool:
    """Return whether a file has more than `most` chunks of this month."""
    driver: Any = connection.connection.driver_connection
    counted = f"SELECT count(*) FROM (SELECT 1 {FROM_MONTH} LIMIT ?)"
    (count,) = driver.execute(counted, (*key_endings(month), most + 1)).fetchone()
    return bool(count > most)


def list_months(connection: Connection, search: ChunkSearch) -> list[int]:
    """Return the months of the chunks that a search finds; a month may come more than once."""
    driver: Any = connection.connection.driver_connection
    months = []
    after = search.first
    while row := driver.execute(search.next_one, (after, search.last)).fetchone():
        month = int(months_of(buckets_of_keys(np.array([row[0]])))[0])
        months.append(month)
        after = (row[0] & ~BUCKET_MASK) + key_endings(month + 1)[0]
    return months
