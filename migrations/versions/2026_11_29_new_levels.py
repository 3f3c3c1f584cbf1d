"""The range that an anomaly left, and the new level that ended it."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


# Added and dropped one by one: the table is not copied for it.
def _new_of_spans() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("onset_lower", sa.Double(), nullable=True),
        sa.Column("onset_upper", sa.Double(), nullable=True),
        sa.Column("level_watch", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("accepted_level", sa.Double(), nullable=True),
        sa.Column("accepted_since_ms", sa.BigInteger(), nullable=True),
    )


def upgrade() -> None:
    for column in _new_of_spans():
        op.add_column("spans", column)


def downgrade() -> None:
    for column in reversed(_new_of_spans()):
        op.drop_column("spans", column.name)
