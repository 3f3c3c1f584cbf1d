"""One worker judges at a time, deleted metrics go soon, open anomalies are found by their metric.

The two indexes of `spans` take turns: on PostgreSQL the table is locked against writing while the
new one is built, about a second for a million anomalies.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "judging_epochs",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.String(length=200), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_judging_epochs")),
    )
    op.create_table(
        "judged_before_rebuilds",
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("through_ms", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_judged_before_rebuilds_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("metric_id", name=op.f("pk_judged_before_rebuilds")),
    )
    op.add_column(
        "deleted_metrics",
        sa.Column("first_swept_at", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_index("ix_deleted_metrics_deleted_at", "deleted_metrics", ["deleted_at"])
    op.create_index(
        "ix_deleted_metrics_points_gone_at", "deleted_metrics", ["points_gone_at", "deleted_at"]
    )
    op.create_index("ix_spans_is_open_metric_id", "spans", ["is_open", "metric_id"])
    op.drop_index("ix_spans_is_open", "spans")


def downgrade() -> None:
    op.create_index("ix_spans_is_open", "spans", ["is_open"])
    op.drop_index("ix_spans_is_open_metric_id", "spans")
    op.drop_index("ix_deleted_metrics_points_gone_at", "deleted_metrics")
    op.drop_index("ix_deleted_metrics_deleted_at", "deleted_metrics")
    with op.batch_alter_table("deleted_metrics") as deleted_metrics:
        deleted_metrics.drop_column("first_swept_at")
    op.drop_table("judged_before_rebuilds")
    op.drop_table("judging_epochs")
