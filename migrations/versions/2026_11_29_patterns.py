"""Patterns, the points they were made of, and trainings that wait for points."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "patterns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("anomaly_id", sa.Integer(), nullable=True),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("creator_type", sa.String(length=16), nullable=False),
        sa.Column("creator_user_id", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("positive", sa.Boolean(), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("family_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state_by", sa.String(length=200), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("is_growing", sa.Boolean(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("expected_lower", sa.Double(), nullable=False),
        sa.Column("expected_upper", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("evidence", sa.String(length=16), nullable=False),
        sa.Column("alert", sa.Double(), nullable=False),
        sa.Column("step_ms", sa.BigInteger(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("matches", sa.Integer(), nullable=False),
        sa.Column("last_match_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["anomaly_id"],
            ["anomalies.id"],
            name=op.f("fk_patterns_anomaly_id_anomalies"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["creator_user_id"],
            ["users.id"],
            name=op.f("fk_patterns_creator_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_patterns_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_patterns_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["patterns.id"],
            name=op.f("fk_patterns_parent_id_patterns"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patterns")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_patterns_anomaly_id", "patterns", ["anomaly_id"])
    op.create_index("ix_patterns_creator_user_id", "patterns", ["creator_user_id"])
    op.create_index("ix_patterns_metric_id_state", "patterns", ["metric_id", "state"])
    op.create_index("ix_patterns_org_id_family_hash", "patterns", ["org_id", "family_hash"])
    op.create_index(
        "ix_patterns_org_id_state_created_at", "patterns", ["org_id", "state", "created_at"]
    )
    op.create_index("ix_patterns_parent_id", "patterns", ["parent_id"])
    op.create_table(
        "pattern_series",
        sa.Column("pattern_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("excursion_points", sa.LargeBinary(), nullable=False),
        sa.Column("context", sa.Integer(), nullable=False),
        sa.Column("window_points", sa.LargeBinary(), nullable=False),
        sa.Column("window_step_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pattern_id"],
            ["patterns.id"],
            name=op.f("fk_pattern_series_pattern_id_patterns"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pattern_id", name=op.f("pk_pattern_series")),
    )
    op.create_table(
        "pattern_changes",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_pattern_changes_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_pattern_changes")),
    )
    op.create_table(
        "trainings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("metric_id", sa.Integer(), nullable=False),
        sa.Column("anomaly_id", sa.Integer(), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=False),
        sa.Column("positive", sa.Boolean(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["anomaly_id"],
            ["anomalies.id"],
            name=op.f("fk_trainings_anomaly_id_anomalies"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["metric_id"],
            ["metrics.id"],
            name=op.f("fk_trainings_metric_id_metrics"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_trainings_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trainings_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trainings")),
        sa.UniqueConstraint(
            "anomaly_id", "duration_seconds", name=op.f("uq_trainings_anomaly_id_duration_seconds")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_trainings_metric_id", "trainings", ["metric_id"])
    op.create_index("ix_trainings_org_id_state", "trainings", ["org_id", "state"])
    op.create_index("ix_trainings_state_due_at", "trainings", ["state", "due_at"])
    op.create_index("ix_trainings_user_id", "trainings", ["user_id"])


def downgrade() -> None:
    op.drop_table("trainings")
    op.drop_table("pattern_changes")
    op.drop_table("pattern_series")
    op.drop_table("patterns")
