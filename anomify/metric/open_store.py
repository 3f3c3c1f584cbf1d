"""Where a process opens the datapoints: beside the meta database, embedded or on a server."""

from collections.abc import Sequence
from pathlib import Path

from anomify.db import Database
from anomify.metric.judged_batches import list_judged_batches
from anomify.metric.store import CommittedBatch, PointStore
from anomify.storage.engines import PointDatabase, PointFiles, PointTables


def open_point_database(database: Database, data_dir: Path) -> PointDatabase:
    """Return where log and chunks are: files of their own, or tables on the same server."""
    return PointFiles(data_dir) if database.is_sqlite else PointTables(database.engine_beside())


def open_points(database: Database, data_dir: Path) -> PointStore:
    """Return the store of datapoints, which follows what the worker judges and seals."""

    def judged_after(batch_id: int) -> Sequence[CommittedBatch]:
        with database.unit_of_work(write=False):
            return [
                CommittedBatch(batch.id, batch.through_offset, batch.rows)
                for batch in list_judged_batches(batch_id)
            ]

    return PointStore(open_point_database(database, data_dir), judged_after)
