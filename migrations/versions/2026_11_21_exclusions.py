"""Exclusions, and quota that is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exclusions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("pattern", sa.String(length=512), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_exclusions_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusions")),
        sa.UniqueConstraint(
            "org_id", "kind", "pattern", name=op.f("uq_exclusions_org_id_kind_pattern")
        ),
    )
    op.create_table(
        "exclusion_changes",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["orgs.id"],
            name=op.f("fk_exclusion_changes_org_id_orgs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_exclusion_changes")),
    )
    # Not in batch mode: a column that may be empty needs no new table on SQLite either.
    op.add_column("metrics", sa.Column("excluded_by", sa.Integer(), nullable=True))
    op.create_index("ix_metrics_org_id_excluded_by", "metrics", ["org_id", "excluded_by"])


def downgrade() -> None:
    op.drop_index("ix_metrics_org_id_excluded_by", "metrics")
    op.drop_column("metrics", "excluded_by")
    op.drop_table("exclusion_changes")
    op.drop_table("exclusions")
