"""Points opened beside the meta database, by as many readers as there may be."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import text

from anomify.db import Database
from anomify.db_engine import POSTGRES_POOL_SIZE
from anomify.metric.open_store import open_points
from tests.kit.points import START, entry

# As many as can hold a connection to the meta database at once.
CROWD = 2 * POSTGRES_POOL_SIZE
SECONDS = 20


class TestOpenPoints:
    def test_a_crowd_of_requests_does_not_wait_for_each_other(
        self, database: Database, tmp_path: Path
    ) -> None:
        points = open_points(database, tmp_path)
        points.append(entry((1, START, 1.5)))
        everybody = threading.Barrier(CROWD)

        def look(_: int) -> list[float]:
            with database.unit_of_work(write=False) as opened:
                opened.execute(text("SELECT 1"))
                everybody.wait(SECONDS)
                return points.read(1, START, START + 1).values.tolist()

        with ThreadPoolExecutor(CROWD) as crowd:
            assert list(crowd.map(look, range(CROWD))) == [[1.5]] * CROWD
        points.close()
