"""Refuses files of points and of metadata that were not made together, such as a mixed restore."""

from anomify.db import Database
from anomify.errors import Conflict
from anomify.metric.store import PointStore

ADVICE = (
    "These files do not belong together: they look like copies of different moments. Nothing was"
    " changed. Restore all of them from one backup with `anomify restore FILE` into an empty data"
    " directory."
)


def refuse_mixed(database: Database, points: PointStore) -> None:
    """Raise Conflict where log or chunks know metrics, or metadata knows log entries, too many.

    Ids and offsets are never given twice, so the greatest one that was ever given tells. In
    PostgreSQL all lies in one database, which no restore mixes.
    """
    if not database.is_sqlite:
        return
    with database.engine.connect() as connection:
        given = connection.exec_driver_sql(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'metrics'), 0),"
            " coalesce((SELECT max(id) FROM metrics), 0),"
            " coalesce((SELECT max(metric_id) FROM deleted_metrics), 0))"
        ).scalar_one()
        judged = connection.exec_driver_sql(
            "SELECT max(coalesce((SELECT max(through_offset) FROM judged_batches), 0),"
            " coalesce((SELECT max(log_offset) FROM checkpoints), 0))"
        ).scalar_one()
    greatest = max(points.chunks.greatest_metric(), points.log.greatest_metric())
    if greatest > given:
        raise Conflict(
            f"The stored points know metric {greatest}, and the metadata (meta.db) only metrics up"
            f" to {given}. {ADVICE}"
        )
    written = points.log.greatest_offset()
    if judged > written:
        raise Conflict(
            f"The metadata (meta.db) knows {judged} entries of the log, and the log (log.db) only"
            f" {written}. {ADVICE}"
        )
