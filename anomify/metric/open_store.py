"""Open the store of datapoints, embedded or on the server of the meta database."""

from collections.abc import Sequence
from pathlib import Path

from anomify.db import Database
from anomify.metric.judged_batches import list_judged_batches
from anomify.metric.store import CommittedBatch, PointStore
from anomify.storage.database import PointDatabase
from anomify.storage.month_files import PointFiles
from anomify.storage.postgresql import PointTables


def open_point_database(database: Database, data_dir: Path) -> PointDatabase:
    """Return the database of log and chunks: separate files, or tables on the same server."""
    return PointFiles(data_dir) if database.is_sqlite else PointTables(database.engine_beside())


def open_points(database: Database, data_dir: Path) -> PointStore:
    """Return the store of datapoints, which follows the worker's judgements and seals."""

    def judged_after(batch_id: int) -> Sequence[CommittedBatch]:
        with database.unit_of_work(write=False):
            return [
                CommittedBatch(batch.id, batch.through_offset, batch.rows)
                for batch in list_judged_batches(batch_id)
            ]

    return PointStore(open_point_database(database, data_dir), judged_after)
