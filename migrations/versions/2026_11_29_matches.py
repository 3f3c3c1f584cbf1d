"""Matches: excursions that a pattern explains, and anomalies that one has closed."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "matches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("pattern_id", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("onset_lower", sa.Double(), nullable=False),
        sa.Column("onset_upper", sa.Double(), nullable=False),
        sa.Column("distance", sa.Double(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("height_ratio", sa.Double(), nullable=True),
        sa.Column("length_ratio", sa.Double(), nullable=True),
        sa.Column("minutes_apart", sa.Double(), nullable=True),
        sa.Column("motif_index", sa.Integer(), nullable=True),
        sa.Column("motif_size", sa.Integer(), nullable=True),
        sa.Column("area_percent_diff", sa.Double(), nullable=True),
        sa.Column("labels", sa.Integer(), nullable=True),
        sa.Column("validated", sa.Integer(), nullable=False),
        sa.Column("validated_by", sa.String(length=200), nullable=False),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("anomaly_id", sa.Integer(), nullable=True),
        sa.Column("outgrown_by_anomaly_id", sa.Integer(), nullable=True),
        sa.Column("outgrown_reason", sa.Text(), nullable=True),
        sa.Column("peak_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("expected_lower", sa.Double(), nullable=False),
        sa.Column("expected_upper", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("alert", sa.Double(), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("evidence", sa.String(length=16), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["anomaly_id"],
            ["anomalies.id"],
            name=op.f("fk_matches_anomaly_id_anomalies"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_matches_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_matches_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["outgrown_by_anomaly_id"],
            ["anomalies.id"],
            name=op.f("fk_matches_outgrown_by_anomaly_id_anomalies"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["pattern_id"],
            ["patterns.id"],
            name=op.f("fk_matches_pattern_id_patterns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matches")),
        sa.UniqueConstraint(
            "metric_id", "started_ms", name=op.f("uq_matches_metric_id_started_ms")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_matches_anomaly_id", "matches", ["anomaly_id"])
    op.create_index("ix_matches_is_open_metric_id", "matches", ["is_open", "metric_id"])
    op.create_index("ix_matches_org_id_started_ms", "matches", ["org_id", "started_ms"])
    op.create_index("ix_matches_outgrown_by_anomaly_id", "matches", ["outgrown_by_anomaly_id"])
    op.create_index("ix_matches_pattern_id_started_ms", "matches", ["pattern_id", "started_ms"])
    # Not in batch mode: SQLite can add and drop these columns without a new table.
    op.add_column("spans", sa.Column("ended_by_pattern_id", sa.Integer(), nullable=True))
    op.add_column("spans", sa.Column("outgrown_reason", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("spans", "outgrown_reason")
    op.drop_column("spans", "ended_by_pattern_id")
    op.drop_table("matches")
