"""Detect data files that do not belong together, such as after a mixed restore."""

from anomify.db import Database
from anomify.errors import Conflict
from anomify.metric.store import PointStore

ADVICE = (
    "These files do not belong together: they look like copies of different moments. Nothing was"
    " changed. Restore all of them from one backup with `anomify restore FILE` into an empty data"
    " directory."
)


def refuse_mixed(database: Database, points: PointStore) -> None:
    """Raise Conflict if points refer to unknown metrics, or metadata to unknown log entries.

    Ids and offsets are never used twice, so comparing the greatest ones suffices. PostgreSQL holds
    everything in one database, which a restore cannot mix.
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
            f"The stored points have metric ids up to {greatest}, the metadata (meta.db) only up"
            f" to {given}. {ADVICE}"
        )
    written = points.log.greatest_offset()
    if judged > written:
        raise Conflict(
            f"The metadata (meta.db) refers to {judged} entries of the log, log.db holds only"
            f" {written}. {ADVICE}"
        )
