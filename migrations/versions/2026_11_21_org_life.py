"""Muting, events, admin alerts and test metrics of an org."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def of_org(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["org_id"], ["orgs.id"], name=op.f(f"fk_{table}_org_id_orgs"), ondelete="CASCADE"
    )


def of_metric(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["metric_id"],
        ["metrics.id"],
        name=op.f(f"fk_{table}_metric_id_metrics"),
        ondelete="CASCADE",
    )


def upgrade() -> None:
    op.add_column("orgs", sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("anomalies", sa.Column("muted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("anomalies", sa.Column("muted_severity", sa.String(length=8), nullable=True))
    op.create_table(
        "org_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("chips", sa.JSON(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        of_org("org_events"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_org_events")),
    )
    op.create_index("ix_org_events_org_id_occurred_at", "org_events", ["org_id", "occurred_at"])
    op.create_table(
        "admin_alerts",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wait_seconds", sa.Integer(), nullable=False),
        sa.Column("expiration_seconds", sa.Integer(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("email_user_ids", sa.JSON(none_as_null=True), nullable=True),
        of_org("admin_alerts"),
        sa.PrimaryKeyConstraint("org_id", "type_id", name=op.f("pk_admin_alerts")),
    )
    op.create_table(
        "raised_alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("type_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metric_count", sa.Integer(), nullable=False),
        of_org("raised_alerts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raised_alerts")),
        sa.UniqueConstraint("code", name=op.f("uq_raised_alerts_code")),
    )
    op.create_index("ix_raised_alerts_org_id_raised_at", "raised_alerts", ["org_id", "raised_at"])
    op.create_table(
        "silent_metrics",
        sa.Column("alert_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("silent_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["raised_alerts.id"],
            name=op.f("fk_silent_metrics_alert_id_raised_alerts"),
            ondelete="CASCADE",
        ),
        of_metric("silent_metrics"),
        sa.PrimaryKeyConstraint("alert_id", "metric_id", name=op.f("pk_silent_metrics")),
    )
    op.create_index("ix_silent_metrics_metric_id", "silent_metrics", ["metric_id"])
    op.create_table(
        "quota_refusals",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        of_org("quota_refusals"),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_quota_refusals")),
    )
    op.create_table(
        "judged_hours",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        of_org("judged_hours"),
        sa.PrimaryKeyConstraint("org_id", "hour_ms", name=op.f("pk_judged_hours")),
    )
    op.create_table(
        "counted_minutes",
        sa.Column("metric_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minute_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("stored_count", sa.BigInteger(), nullable=True),
        of_metric("counted_minutes"),
        sa.PrimaryKeyConstraint("metric_id", "minute_ms", name=op.f("pk_counted_minutes")),
    )
    op.create_index("ix_counted_minutes_minute_ms", "counted_minutes", ["minute_ms"])
    op.create_table(
        "rehearsals",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("server_id", sa.String(length=200), nullable=False),
        sa.Column("rehearsed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        of_org("rehearsals"),
        sa.PrimaryKeyConstraint("org_id", "server_id", name=op.f("pk_rehearsals")),
    )


def downgrade() -> None:
    for table in (
        *("rehearsals", "counted_minutes", "judged_hours", "quota_refusals"),
        *("silent_metrics", "raised_alerts", "admin_alerts", "org_events"),
    ):
        op.drop_table(table)
    op.drop_column("anomalies", "muted_severity")
    op.drop_column("anomalies", "muted_at")
    op.drop_column("orgs", "muted_until")
