"""The interface of the database of points: log and chunks."""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from anomify.series import Int64s


class PointDatabase(Protocol):
    """A database with the log and the chunks, which are stored in parts.

    On SQLite a part is the file of a month or the one that old months share; on PostgreSQL there is
    one part. Each context is one transaction. Every context raises `Unavailable` for an error of
    the database itself and `Damaged` for stored bytes that cannot be read.
    """

    def reading_log(self) -> AbstractContextManager[Connection]:
        """Yield a connection that reads what is committed in the log."""

    def writing_log(self) -> AbstractContextManager[Connection]:
        """Yield a connection whose changes are durable when the context ends without an error."""

    def appending_log(self) -> AbstractContextManager[Connection]:
        """Yield as `writing_log`, to one writer at a time: rows appear in order of offset."""

    def months(self, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the parts that may hold chunks of these buckets, oldest first."""

    def months_with(self, metric_id: int, first_bucket: int, last_bucket: int) -> list[int]:
        """Return the parts that may hold chunks of this metric and these buckets, oldest first."""

    def parts(self) -> list[int]:
        """Return all parts that are stored: months, and the part that old months share."""

    def part_of(self, month: int) -> int:
        """Return the part in which the chunks of a month are stored now."""

    def name_of(self, part: int) -> str:
        """Return text for people about which chunks are in a part."""

    def months_of(self, buckets: Int64s) -> Int64s:
        """Return the part that each bucket belongs to."""

    def months_before(self, bucket: int) -> list[int]:
        """Return the parts of which every bucket is older than this one."""

    def reading_chunks(self, month: int) -> AbstractContextManager[Connection | None]:
        """Yield a connection to one part, or None where it has never been written."""

    def writing_chunks(self, month: int) -> AbstractContextManager[Connection]:
        """Yield the only connection that may write one part, which is created if missing."""

    def drop_month(self, month: int) -> None:
        """Delete one whole part and free its disk space."""

    def pack_old_months(self, most: int) -> int:
        """Move up to `most` old months with few chunks to the shared part; return how many."""

    def free_space(self, month: int) -> None:
        """Free the disk space of deleted chunks of one part, where that is cheap."""

    def span_of(self, month: int) -> tuple[int, int]:
        """Return when one part begins and ends, in unix milliseconds."""

    def renew_month(self, month: int) -> str:
        """Replace one damaged part by a new one with the chunks that can be read.

        The damaged one is kept. Returns text about what is kept where. Raises `Unavailable` where
        this cannot be done.
        """

    def size_bytes(self) -> int:
        """Return the disk space of log and chunks."""

    def close(self) -> None:
        """Close every connection."""
