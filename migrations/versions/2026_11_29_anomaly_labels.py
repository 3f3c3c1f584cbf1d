"""What people say of an anomaly: expected or unexpected."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode: SQLite can add and drop these columns without a new table.
    op.add_column("anomalies", sa.Column("expected", sa.Boolean(), nullable=True))
    op.add_column("anomalies", sa.Column("labelled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("anomalies", sa.Column("labelled_by_id", sa.Integer(), nullable=True))
    op.add_column("anomalies", sa.Column("labelled_by", sa.String(length=200), nullable=True))
    op.add_column("anomalies", sa.Column("label", sa.String(length=200), nullable=True))


def downgrade() -> None:
    op.drop_column("anomalies", "label")
    op.drop_column("anomalies", "labelled_by")
    op.drop_column("anomalies", "labelled_by_id")
    op.drop_column("anomalies", "labelled_at")
    op.drop_column("anomalies", "expected")
