"""The newest anomaly that each user has seen."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode: a column that may be empty needs no new table on SQLite either.
    op.add_column("users", sa.Column("seen_anomaly_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "seen_anomaly_id")
