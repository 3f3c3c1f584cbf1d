"""Thresholds and summaries of watchers, and which watcher's threshold an anomaly is over."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def columns() -> tuple[sa.Column, ...]:
    return (
        sa.Column("threshold_operator", sa.String(16), nullable=True),
        sa.Column("threshold_value", sa.Double(), nullable=True),
        sa.Column("threshold_times", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("threshold_function", sa.String(16), nullable=False, server_default="last"),
        sa.Column("threshold_function_seconds", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("threshold_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("summary_report_frequency", sa.String(32), nullable=True),
        sa.Column("summary_report_user_ids", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
    )


def upgrade() -> None:
    for column in columns():
        # Not in batch mode: SQLite can add and drop these columns without a new table.
        op.add_column("watchers", column)
    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("watcher_id", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.drop_constraint("uq_spans_metric_id_started_ms_is_silence", type_="unique")
        batch_op.create_unique_constraint(
            "uq_spans_metric_id_started_ms_is_silence_watcher_id",
            ["metric_id", "started_ms", "is_silence", "watcher_id"],
        )


def downgrade() -> None:
    # What thresholds have found goes: one start of a metric had one anomaly.
    found = "(SELECT anomaly_id FROM spans WHERE watcher_id <> 0)"
    op.execute(f"DELETE FROM anomalies WHERE id IN {found}")
    op.execute("DELETE FROM spans WHERE watcher_id <> 0")
    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.drop_constraint(
            "uq_spans_metric_id_started_ms_is_silence_watcher_id", type_="unique"
        )
        batch_op.create_unique_constraint(
            "uq_spans_metric_id_started_ms_is_silence", ["metric_id", "started_ms", "is_silence"]
        )
        batch_op.drop_column("watcher_id")
    for column in reversed(columns()):
        op.drop_column("watchers", column.name)
