"""Since when a notification's incident goes on or is over."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("live_since", "over_since"):
        op.add_column("notifications", sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("over_since", "live_since"):
        op.drop_column("notifications", name)
