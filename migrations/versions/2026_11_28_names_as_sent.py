"""Names kept as they were sent, and series distinguished by all their labels."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in batch mode: SQLite can add and drop these columns without a new table.
    for column in (
        sa.Column("composed_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("source_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("takes_other_spelling", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("metrics", column)
    # Only a name beyond ASCII can have been sent with other code points than it was stored with.
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    size = "length(CAST(name AS BLOB))" if is_sqlite else "octet_length(name)"
    op.execute(f"UPDATE metrics SET takes_other_spelling = true WHERE {size} <> length(name)")
    op.create_index("ix_metrics_org_id_composed_hash", "metrics", ["org_id", "composed_hash"])


def downgrade() -> None:
    op.drop_index("ix_metrics_org_id_composed_hash", "metrics")
    for column in ("takes_other_spelling", "source_hash", "composed_hash"):
        op.drop_column("metrics", column)
