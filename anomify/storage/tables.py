"""The tables of points; all names begin with `point_`, and no migration changes these tables."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    literal_column,
)

# The version of the tables. Points that a newer version has stored are not read.
LAYOUT = 1

_BIG = BigInteger().with_variant(Integer(), "sqlite")

LOG_TABLES = MetaData()
CHUNK_TABLES = MetaData()

# One row is one accepted request. Offsets only grow and are never used again.
point_log = Table(
    "point_log",
    LOG_TABLES,
    Column("log_offset", _BIG, primary_key=True, autoincrement=True),
    Column("entry", LargeBinary, nullable=False),
    # When it was accepted, in unix ms; NULL in rows of versions that did not store it.
    Column("accepted_ms", _BIG),
    sqlite_autoincrement=True,
)

# Offsets with a name: how far the log has been sealed and pruned.
point_marks = Table(
    "point_marks",
    LOG_TABLES,
    Column("name", String(40), primary_key=True),
    Column("log_offset", _BIG, nullable=False),
)

# One row is a damaged item: stored bytes that could not be read, kept for the operator. `subject`
# is where they were stored: the key of a chunk, the offset of a log entry and so on. The name of
# the table is older than this term.
point_damaged = Table(
    "point_set_aside",
    LOG_TABLES,
    Column("id", _BIG, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", _BIG, nullable=False),
    Column("metric_id", _BIG, nullable=True),
    Column("from_ms", _BIG, nullable=True),
    Column("until_ms", _BIG, nullable=True),
    Column("reason", String(1000), nullable=False),
    Column("found_ms", _BIG, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("through_offset", _BIG, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    UniqueConstraint("kind", "subject", "digest", name="uq_point_set_aside"),
    Index("ix_point_set_aside_metric_id", "metric_id"),
    sqlite_autoincrement=True,
)

# One row is four hours of one metric; see `chunk_keys` for the key. PostgreSQL leaves space
# beside each row, because a chunk is rewritten a few times, and stores blobs up to 8 KiB inline.
point_chunks = Table(
    "point_chunks",
    CHUNK_TABLES,
    Column("chunk_key", _BIG, primary_key=True, autoincrement=False),
    Column("through_offset", _BIG, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    postgresql_with={"fillfactor": 70, "toast_tuple_target": 8160},
)

# The same for the file that old months share, where months are found by the bucket, the low bits
# of a key. The mask is a literal, because SQLite uses the index only then.
BUCKET_MASK = (1 << 21) - 1
OLD_CHUNK_TABLES = MetaData()
_old_chunks = point_chunks.to_metadata(OLD_CHUNK_TABLES)
Index("ix_point_chunks_bucket", _old_chunks.c.chunk_key.op("&")(literal_column(str(BUCKET_MASK))))
