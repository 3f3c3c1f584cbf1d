"""Export all data of an org as a ZIP file of JSON lines, streamed while it is written."""

import io
import json
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Table, or_, select

from anomify.clock import now
from anomify.db import Base, Database, session
from anomify.errors import QuotaExceeded
from anomify.metric.model import Metric
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.model import Pattern, PatternSeries
from anomify.pattern.points import window_of
from anomify.storage.chunk_keys import NEWEST_MS, OLDEST_MS
from anomify.storage.errors import Damaged

# Secrets are left out: the receiver does not need them, and the file may be shared.
SECRET_WORDS = ("hash", "sealed", "secret")
ROWS_AT_ONCE = 500
METRICS_AT_ONCE = 500
POINTS_IN_A_LINE = 1_000
PIECE_BYTES = 64 * 1024
# Larger amounts of unsent data are kept in a private temporary file.
IN_MEMORY_BYTES = 8 * 1024 * 1024
# Each export occupies a thread for as long as its receiver takes.
ARCHIVES_AT_ONCE = 2
RETRY_AFTER_SECONDS = 120
README = """All data of the org {name} in Anomify on {moment}.

Each .jsonl file is a table, a row on each line; moments are ISO 8601. points.jsonl holds the
datapoints: a metric, and pairs of a unix time in milliseconds and a value; pattern_points.jsonl
those of each pattern. What only serves to recognise passwords, keys and codes is left out.
"""

_turns = threading.BoundedSemaphore(ARCHIVES_AT_ONCE)


def export_of(org_id: int, database: Database, points: PointStore) -> Iterator[bytes]:
    """Yield the archive in pieces; it is never in memory as a whole.

    Rows are of one moment at the start; points are read when they are written. No unit of work may
    be open around it, and none is open while waiting for the receiver.
    """
    with _Sink() as sink, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        with database.unit_of_work(write=False):
            org = session().get_one(Org, org_id)
            about = README.format(name=org.name, moment=f"{now():%Y-%m-%d %H:%M} UTC")
            archive.writestr("README.txt", about)
            for table, of_the_org in _tables_of(org_id):
                with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
                    for line in _rows(table, of_the_org):
                        file.write(line)
            with archive.open("pattern_points.jsonl", "w", force_zip64=True) as file:
                for line in _pattern_points(org_id):
                    file.write(line)
        yield from sink.taken()
        with archive.open("points.jsonl", "w", force_zip64=True) as file:
            for line in _points(org_id, database, points):
                file.write(line)
                yield from sink.taken(at_least=PIECE_BYTES)
        archive.close()
        yield from sink.taken()


class Turn:
    """A slot for making an archive; release it when the archive is finished or abandoned."""

    def __init__(self) -> None:
        """Take a slot. Raises `QuotaExceeded` if all slots are in use."""
        if not _turns.acquire(blocking=False):
            raise QuotaExceeded(
                "Others export their orgs just now; try again in a few minutes.",
                code="export_busy",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._is_taken = True

    def give_back(self) -> None:
        """Release the slot; releasing it again does nothing."""
        if self._is_taken:
            self._is_taken = False
            _turns.release()


def file_name(org_id: int) -> str:
    """Return the file name of an archive made today."""
    return f"anomify-org-{org_id}-{now():%Y-%m-%d}.zip"


def _tables_of(org_id: int) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table that refers to the org, directly or not, with the condition for its rows.

    Found by the foreign keys, so that new tables are included.
    """
    belonging: dict[Table, ColumnElement[bool]] = {Org.__table__: Org.__table__.c.id == org_id}  # type: ignore[dict-item] # a mapped class has a table
    for table in Base.metadata.sorted_tables:
        ways = [
            key.parent.in_(select(key.column).where(belonging[key.column.table]))
            for key in table.foreign_keys
            if key.column.table in belonging
        ]
        if table not in belonging and ways:
            belonging[table] = or_(*ways)
    yield from belonging.items()


def _rows(table: Table, of_the_org: ColumnElement[bool]) -> Iterator[bytes]:
    shown = [column for column in table.columns if _may_be_shown(column.name, column.type)]
    rows = session().execute(
        select(*shown).where(of_the_org).order_by(*table.primary_key.columns),
        execution_options={"yield_per": ROWS_AT_ONCE},
    )
    for row in rows:
        yield _line(dict(row._mapping))  # noqa: SLF001 -- its public name, for want of another


def _may_be_shown(name: str, kind: object) -> bool:
    return not isinstance(kind, LargeBinary) and not any(word in name for word in SECRET_WORDS)


def _pattern_points(org_id: int) -> Iterator[bytes]:
    """Yield the stored points of each pattern, which the table holds in an encoded form."""
    rows = session().scalars(
        select(PatternSeries)
        .join(Pattern, Pattern.id == PatternSeries.pattern_id)
        .where(Pattern.org_id == org_id)
        .order_by(PatternSeries.pattern_id),
        execution_options={"yield_per": ROWS_AT_ONCE},
    )
    for stored in rows:
        try:
            window = window_of(stored)
        except Damaged as problem:
            yield _line({"pattern_id": stored.pattern_id, "problem": problem.message})
            continue
        pairs = zip(window.times.tolist(), window.values.tolist(), strict=True)
        yield _line({"pattern_id": stored.pattern_id, "points": list(pairs)})


def _points(org_id: int, database: Database, points: PointStore) -> Iterator[bytes]:
    after = 0
    while True:
        with database.unit_of_work(write=False):
            found = session().execute(
                select(Metric.id, Metric.name)
                .where(Metric.org_id == org_id, Metric.id > after)
                .order_by(Metric.id)
                .limit(METRICS_AT_ONCE)
            )
            metrics = [(int(metric_id), str(name)) for metric_id, name in found]
        for metric_id, name in metrics:
            series = points.read(metric_id, OLDEST_MS, NEWEST_MS)
            if missing := points.missing(metric_id, OLDEST_MS, NEWEST_MS):
                yield _line({"metric_id": metric_id, "metric": name, "missing": missing})
            for start in range(0, len(series.times), POINTS_IN_A_LINE):
                part = slice(start, start + POINTS_IN_A_LINE)
                pairs = zip(series.times[part].tolist(), series.values[part].tolist(), strict=True)
                yield _line({"metric_id": metric_id, "metric": name, "points": list(pairs)})
        if len(metrics) < METRICS_AT_ONCE:
            return
        after = metrics[-1][0]


def _line(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, default=_plain, ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".encode(errors="replace")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class _Sink(io.RawIOBase):
    """A buffer to which the archive is written and from which pieces are taken."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 -- closed with us
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._size += len(data)
        return self._file.write(data)

    def taken(self, *, at_least: int = 1) -> Iterator[bytes]:
        if self._size < at_least:
            return
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield piece
        self._file.seek(0)
        self._file.truncate()
        self._size = 0

    def close(self) -> None:
        self._file.close()
        super().close()
