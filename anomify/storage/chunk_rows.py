"""Reads and writes rows of chunks in one part of the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, literal, select, update

from anomify.db import upsert
from anomify.series import Int64s, Series
from anomify.storage.chunk_keys import BUCKET_MS, KEY_BUCKET_BITS, bucket_of_key
from anomify.storage.codec import decode_series, encode_series
from anomify.storage.errors import Damaged
from anomify.storage.tables import point_chunks

# The most chunks of one query: six weeks of a metric, about 200,000 points if one comes every 15 s.
MOST_CHUNKS_READ = 512

CHUNKS_BETWEEN = (
    select(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
    .order_by(point_chunks.c.chunk_key)
    .limit(MOST_CHUNKS_READ)
)
NEWEST_CHUNK = (
    select(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
    .order_by(point_chunks.c.chunk_key.desc())
    .limit(1)
)
_DELETE_BETWEEN = (
    delete(point_chunks)
    .where(point_chunks.c.chunk_key >= bindparam("first"))
    .where(point_chunks.c.chunk_key <= bindparam("last"))
)
ONE_CHUNK = select(point_chunks).where(point_chunks.c.chunk_key == bindparam("key"))
REPLACE_BLOB = (
    update(point_chunks)
    .where(point_chunks.c.chunk_key == bindparam("key"))
    .values(blob=bindparam("new_blob"))
)


def decode_chunk(key: int, blob: bytes) -> Series:
    """Return the series of the chunk with that key. Raises `Damaged` if it cannot be that chunk."""
    series = decode_series(blob)
    if not len(series):
        raise Damaged("A stored chunk is empty.")
    bucket = bucket_of_key(key)
    first, last = int(series.times[0]), int(series.times[-1])
    if not bucket * BUCKET_MS <= first <= last < (bucket + 1) * BUCKET_MS:
        raise Damaged("A stored chunk holds points of another time.")
    return series


def list_chunks_after(connection: Connection, key: int) -> Sequence[Any]:
    """Return the first `MOST_CHUNKS_READ` rows with a greater key, of any metric."""
    return connection.execute(CHUNKS_BETWEEN, {"first": key + 1, "last": (1 << 63) - 1}).all()


def delete_chunks_between(connection: Connection, keys: Sequence[dict[str, int]]) -> bool:
    """Delete the chunks of these spans of keys; return whether there were any."""
    return connection.execute(_DELETE_BETWEEN, keys).rowcount != 0


def encode_row(key: int, through_offset: int, series: Series) -> dict[str, Any]:
    """Return the row of a chunk."""
    return {"chunk_key": key, "through_offset": through_offset, "blob": encode_series(series)}


def lock_chunks(connection: Connection, keys: Int64s) -> dict[int, tuple[int, bytes]]:
    """Return through-offset and blob of the stored chunks among these, locked for writing."""
    # In order of key, so that two writers cannot deadlock where the database locks rows.
    found = connection.execute(chunks_of_keys(keys).with_for_update()).all()
    return {key: (through, blob) for key, through, blob in found}


def chunks_of_keys(keys: Int64s) -> Select[Any, Any, Any]:
    """Return the query for the rows of these keys, in order of key."""
    wanted = point_chunks.c.chunk_key.in_(keys.tolist())
    return select(point_chunks).where(wanted).order_by(point_chunks.c.chunk_key)


def write_rows(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Insert these rows, and replace stored ones that are not sealed further."""
    if not rows:
        return
    chunk = upsert(point_chunks, connection)
    connection.execute(
        chunk.on_conflict_do_update(
            index_elements=[point_chunks.c.chunk_key],
            set_={"through_offset": chunk.excluded.through_offset, "blob": chunk.excluded.blob},
            where=point_chunks.c.through_offset <= chunk.excluded.through_offset,
        ),
        rows,
    )


def list_metrics(connection: Connection, most: int | None = None) -> list[int]:
    """Return the metrics of one part, by one index search for each instead of a scan."""
    key = point_chunks.c.chunk_key
    least = select(func.min(key).op(">>")(literal(KEY_BUCKET_BITS)).label("metric_id"))
    found = least.cte("found", recursive=True)
    beyond = (found.c.metric_id + 1).op("<<")(literal(KEY_BUCKET_BITS))
    following = least.where(key >= beyond).scalar_subquery()
    found = found.union_all(select(following).where(found.c.metric_id.is_not(None)))
    wanted = select(found.c.metric_id).where(found.c.metric_id.is_not(None)).limit(most)
    return [int(metric_id) for metric_id in connection.execute(wanted).scalars()]
