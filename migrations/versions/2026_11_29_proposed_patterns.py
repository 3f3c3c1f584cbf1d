"""Proposed patterns: what each would have hidden, and whether an org wants any."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "would_hide",
        sa.Column("pattern_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("anomaly_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["anomaly_id"],
            ["anomalies.id"],
            name=op.f("fk_would_hide_anomaly_id_anomalies"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["pattern_id"],
            ["patterns.id"],
            name=op.f("fk_would_hide_pattern_id_patterns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pattern_id", "anomaly_id", name=op.f("pk_would_hide")),
    )
    op.create_index("ix_would_hide_anomaly_id", "would_hide", ["anomaly_id"])
    # Not in batch mode: SQLite can add and drop these columns without a new table.
    op.add_column(
        "orgs", sa.Column("learns_patterns", sa.Boolean(), nullable=False, server_default=sa.true())
    )


def downgrade() -> None:
    op.drop_column("orgs", "learns_patterns")
    op.drop_table("would_hide")
