"""An index of how unusual metrics were, by five minutes."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "moved_intervals",
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("interval", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("peak_ms", sa.BigInteger(), nullable=False),
        sa.Column("strength", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=True),
        sa.Column("upper", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_moved_intervals_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_moved_intervals_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("metric_id", "interval", name=op.f("pk_moved_intervals")),
    )
    op.create_index("ix_moved_intervals_org_id_interval", "moved_intervals", ["org_id", "interval"])


def downgrade() -> None:
    op.drop_index("ix_moved_intervals_org_id_interval", table_name="moved_intervals")
    op.drop_table("moved_intervals")
