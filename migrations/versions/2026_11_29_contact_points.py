"""Contact points, and which of them each watcher notifies."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact_points",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("settings_sealed", sa.Text(), nullable=True),
        sa.Column("settings_open", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("former_secret_sealed", sa.Text(), nullable=True),
        sa.Column("former_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lane", sa.String(260), nullable=False),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["orgs.id"],
            name=op.f("fk_contact_points_org_id_orgs"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_contact_points_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_points")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_contact_points_org_id", "contact_points", ["org_id"])
    op.create_index("ix_contact_points_user_id", "contact_points", ["user_id"])
    op.create_table(
        "watcher_contacts",
        sa.Column("watcher_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("contact_point_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_points.id"],
            name=op.f("fk_watcher_contacts_contact_point_id_contact_points"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["watcher_id"],
            ["watchers.id"],
            name=op.f("fk_watcher_contacts_watcher_id_watchers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("watcher_id", "contact_point_id", name=op.f("pk_watcher_contacts")),
    )
    op.create_index(
        "ix_watcher_contacts_contact_point_id", "watcher_contacts", ["contact_point_id"]
    )


def downgrade() -> None:
    op.drop_table("watcher_contacts")
    op.drop_table("contact_points")
