"""The index of how unusual metrics were has the times at which they stopped reporting."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "moved_intervals",
        sa.Column("is_silence", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    op.drop_column("moved_intervals", "is_silence")
