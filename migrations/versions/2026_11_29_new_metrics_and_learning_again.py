"""Until when each metric is new, and how many metrics the worker still has to learn again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_NUMBERS = (
    ("progress", "young_until_ms"),
    ("worker_beats", "learnt_again"),
    ("worker_beats", "to_learn_again"),
)


def upgrade() -> None:
    # A constant default needs no new table, on SQLite and on PostgreSQL.
    for table, name in _NUMBERS:
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table, name in reversed(_NUMBERS):
        op.drop_column(table, name)
