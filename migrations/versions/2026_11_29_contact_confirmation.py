"""Confirmation of e-mail addresses, and since when a watcher reaches nobody."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("contact_points", sa.Column("confirmed_at", moment, nullable=True))
    op.add_column("contact_points", sa.Column("confirmation_hash", sa.LargeBinary(32)))
    op.add_column("contact_points", sa.Column("confirmation_expires_at", moment, nullable=True))
    op.create_index(
        "ix_contact_points_confirmation_hash", "contact_points", ["confirmation_hash"], unique=True
    )
    op.add_column("watchers", sa.Column("unreached_at", moment, nullable=True))


def downgrade() -> None:
    op.drop_column("watchers", "unreached_at")
    op.drop_index("ix_contact_points_confirmation_hash", "contact_points")
    op.drop_column("contact_points", "confirmation_expires_at")
    op.drop_column("contact_points", "confirmation_hash")
    op.drop_column("contact_points", "confirmed_at")
