"""A data directory for tests of backups, and what a worker finds in a restored one."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from anomify.cli.main import anomify
from anomify.clock import now_ms
from anomify.db import Database
from anomify.metric.mixed import refuse_mixed
from anomify.metric.open_store import open_points
from anomify.metric.state import PARTITIONS
from anomify.series import Points
from anomify.storage.log import Entry
from anomify.worker.analyse import Analyser
from tests.factories import make_metric, make_org
from tests.kit.plant import MINUTE, drain

ROWS = 20


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(anomify, list(words))
    assert result.exit_code == code, result.output
    return result.output


class Place:
    """A data directory with two orgs, and what they have sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        run("db", "upgrade", "--data", str(folder))
        (folder / "secret.key").write_text("k" * 64)
        self.database = Database(f"sqlite:///{folder / 'meta.db'}")
        self.points = open_points(self.database, folder)
        with self.database.unit_of_work():
            self.metric_ids = [make_metric(make_org(name), "m").id for name in ("Acme", "Rival")]
        self.start = now_ms() // MINUTE * MINUTE - 40 * 24 * 60 * MINUTE
        self.sent = 0

    def send(self) -> None:
        """Append some points of both orgs; each value says whose it is and which."""
        for metric_id in self.metric_ids:
            numbers = np.arange(self.sent, self.sent + ROWS, dtype=np.int64)
            times = self.start + numbers * 10 * MINUTE
            values = (metric_id * 1e6 + numbers).astype(np.float64)
            ids = np.full(ROWS, metric_id, np.int64)
            self.points.append(Entry(Points(ids, times, values), Points.empty()))
        self.sent += ROWS

    def close(self) -> None:
        self.points.close()
        self.database.dispose()


def values_in(folder: Path, metric_ids: list[int]) -> list[list[float]]:
    """Return what a worker and a reader find in a data directory after all is judged."""
    database = Database(f"sqlite:///{folder / 'meta.db'}")
    points = open_points(database, folder)
    try:
        refuse_mixed(database, points)
        analyser = Analyser(database, points.log, points.chunks)
        analyser.recover()
        drain(analyser)
        analyser.checkpoint(range(PARTITIONS))
        points.follow()
        found = [points.read(each, 0, now_ms()).values.tolist() for each in metric_ids]
        offset = points.append(
            Entry(
                Points(np.array(metric_ids[:1]), np.array([now_ms() - 1]), np.array([5.0])),
                Points.empty(),
            )
        )
        assert offset > analyser.through_offset, "what comes next is judged and kept"
        return found
    finally:
        points.close()
        database.dispose()


def pack(place: Place) -> None:
    """Move the old months into the file that they share, as if they had been unchanged for long."""
    for path in place.folder.glob("points-*"):
        # The files beside a database are removed when its last connection is closed.
        with suppress(FileNotFoundError):
            os.utime(path, (1_700_000_000, 1_700_000_000))
    place.points.chunks.pack_old_months(9)
