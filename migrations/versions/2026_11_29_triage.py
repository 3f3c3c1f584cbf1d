"""Triage of anomalies: state, assignees, comments and history."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def cascade(table: str, column: str, to: str, ondelete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{to}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete=ondelete)


def upgrade() -> None:
    op.create_table(
        "triages",
        sa.Column("anomaly_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("acknowledged_by", sa.String(200), nullable=True),
        sa.Column("acknowledged_by_id", sa.Integer(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("snoozed_severity", sa.String(8), nullable=True),
        sa.Column("duplicate_of_id", sa.Integer(), nullable=True),
        cascade("triages", "anomaly_id", "anomalies"),
        cascade("triages", "org_id", "orgs"),
        cascade("triages", "duplicate_of_id", "anomalies", "SET NULL"),
        sa.PrimaryKeyConstraint("anomaly_id", name=op.f("pk_triages")),
    )
    op.create_index("ix_triages_org_id_snoozed_until", "triages", ["org_id", "snoozed_until"])
    op.create_index("ix_triages_duplicate_of_id", "triages", ["duplicate_of_id"])
    op.create_table(
        "anomaly_assignees",
        sa.Column("anomaly_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        cascade("anomaly_assignees", "anomaly_id", "anomalies"),
        cascade("anomaly_assignees", "user_id", "users"),
        sa.PrimaryKeyConstraint("anomaly_id", "user_id", name=op.f("pk_anomaly_assignees")),
    )
    op.create_index("ix_anomaly_assignees_user_id", "anomaly_assignees", ["user_id"])
    op.create_table(
        "anomaly_comments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("anomaly_id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("mentioned_user_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        cascade("anomaly_comments", "org_id", "orgs"),
        cascade("anomaly_comments", "anomaly_id", "anomalies"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomaly_comments")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_anomaly_comments_anomaly_id", "anomaly_comments", ["anomaly_id"])
    op.create_table(
        "triage_transactions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        cascade("triage_transactions", "org_id", "orgs"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triage_transactions")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_triage_transactions_org_id", "triage_transactions", ["org_id"])
    op.create_table(
        "anomaly_changes",
        sa.Column("transaction_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("anomaly_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changeset", sa.JSON(), nullable=False),
        sa.Column("restores", sa.JSON(), nullable=False),
        sa.Column("undoes_id", sa.Integer(), nullable=True),
        cascade("anomaly_changes", "transaction_id", "triage_transactions"),
        cascade("anomaly_changes", "anomaly_id", "anomalies"),
        sa.PrimaryKeyConstraint("transaction_id", "anomaly_id", name=op.f("pk_anomaly_changes")),
    )
    op.create_index("ix_anomaly_changes_anomaly_id", "anomaly_changes", ["anomaly_id"])


def downgrade() -> None:
    op.drop_table("anomaly_changes")
    op.drop_table("triage_transactions")
    op.drop_table("anomaly_comments")
    op.drop_table("anomaly_assignees")
    op.drop_table("triages")
