"""The tables of points, in files and on PostgreSQL."""

from sqlalchemy import inspect

from anomify.storage.chunk_keys import BUCKET_MS
from anomify.storage.chunk_reader import Chunk
from anomify.storage.chunks import ChunkStore
from anomify.storage.log import PointLog
from anomify.storage.postgresql import PointTables
from tests.kit.points import START, Machines, entry, series


class TestTables:
    def test_names_begin_with_point_so_that_migrations_leave_them_alone(
        self, machines: Machines
    ) -> None:
        database = machines.open()
        machines.open()
        PointLog(database).append(entry((1, START, 1.0)))
        ChunkStore(database).write(
            [Chunk(1, START // BUCKET_MS * BUCKET_MS, 1, series((START, 1.0)))]
        )
        with database.reading_log() as connection:
            found = set(inspect(connection).get_table_names())
        if isinstance(database, PointTables):
            assert found == {"point_log", "point_marks", "point_chunks", "point_set_aside"}
        assert all(name.startswith("point_") for name in found)

    def test_size_is_that_of_log_and_chunks(self, machines: Machines) -> None:
        database = machines.open()
        PointLog(database).append(entry((1, START, 1.0)))
        assert database.size_bytes() > 0
