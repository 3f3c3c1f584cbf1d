"""What people say about a metric, and what the engine now keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What was stale before this revision: five steps, never less than five minutes, and a quarter of an
# hour while the step is unknown. The next tick of a metric writes what was learnt.
STALE_AFTER = """
UPDATE progress SET stale_after_ms = CASE
    WHEN resolution_ms <= 0 THEN 900000
    WHEN resolution_ms <= 60000 THEN 300000
    ELSE 5 * resolution_ms
END
"""


def upgrade() -> None:
    op.create_table(
        "metric_settings",
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("smallest_change", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("step_ms", sa.BigInteger(), nullable=True),
        sa.Column("unit", sa.String(length=32), nullable=False),
        sa.Column("may_be_silent", sa.Boolean(), nullable=False),
        sa.Column("false_alarms", sa.Double(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_metric_settings_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("metric_id", name=op.f("pk_metric_settings")),
    )
    with op.batch_alter_table("metric_settings", schema=None) as batch_op:
        batch_op.create_index("ix_metric_settings_changed_at", ["changed_at"], unique=False)
    op.create_table(
        "deleted_metrics",
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("points_gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("metric_id", name=op.f("pk_deleted_metrics")),
    )
    # A metric can be deleted from now on, and its id must never come back for another one. On
    # PostgreSQL sequences see to that.
    with op.batch_alter_table("metrics", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.alter_column("id", existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("learning_points", sa.Integer(), nullable=False, server_default="100")
        )
        batch_op.add_column(
            sa.Column("stale_after_ms", sa.BigInteger(), nullable=False, server_default="900000")
        )
        batch_op.add_column(
            sa.Column("may_be_silent", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("silent_from_ms", sa.BigInteger(), nullable=True))
    op.execute(STALE_AFTER)
    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("is_silence", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("amount", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("since_ms", sa.BigInteger(), nullable=True))
        batch_op.add_column(
            sa.Column("similar_before", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(sa.Column("similar_ms", sa.BigInteger(), nullable=True))
        batch_op.drop_constraint("uq_spans_metric_id_started_ms", type_="unique")
        batch_op.create_unique_constraint(
            "uq_spans_metric_id_started_ms_is_silence", ["metric_id", "started_ms", "is_silence"]
        )


def downgrade() -> None:
    # One start of a metric had one anomaly; the silences, which had none, go.
    op.execute("DELETE FROM anomalies WHERE id IN (SELECT anomaly_id FROM spans WHERE is_silence)")
    op.execute("DELETE FROM spans WHERE is_silence")
    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.drop_constraint("uq_spans_metric_id_started_ms_is_silence", type_="unique")
        batch_op.create_unique_constraint(
            "uq_spans_metric_id_started_ms", ["metric_id", "started_ms"]
        )
        batch_op.drop_column("similar_ms")
        batch_op.drop_column("similar_before")
        batch_op.drop_column("since_ms")
        batch_op.drop_column("amount")
        batch_op.drop_column("is_silence")
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.drop_column("silent_from_ms")
        batch_op.drop_column("may_be_silent")
        batch_op.drop_column("stale_after_ms")
        batch_op.drop_column("learning_points")
    op.drop_table("deleted_metrics")
    with op.batch_alter_table("metric_settings", schema=None) as batch_op:
        batch_op.drop_index("ix_metric_settings_changed_at")
    op.drop_table("metric_settings")
