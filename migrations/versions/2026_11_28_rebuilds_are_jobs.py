"""Rebuilds say themselves whether they wait or were given up, like letters and deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# As the worker had it so far: tried so often, a rebuild was never claimed again.
MOST_ATTEMPTS = 3


def upgrade() -> None:
    with op.batch_alter_table("rebuilds") as batch_op:
        batch_op.add_column(
            sa.Column("state", sa.String(length=16), nullable=False, server_default="pending")
        )
        batch_op.add_column(sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_index("ix_rebuilds_leased_until")
        batch_op.create_index("ix_rebuilds_state_due_at", ["state", "due_at"], unique=False)
    op.execute(
        sa.text(
            "UPDATE rebuilds SET state = 'dead', settled_at = due_at, leased_until = NULL"
            " WHERE attempts >= :most"
        ).bindparams(most=MOST_ATTEMPTS)
    )
    with op.batch_alter_table("rebuilds") as batch_op:
        batch_op.alter_column("state", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("rebuilds") as batch_op:
        batch_op.drop_index("ix_rebuilds_state_due_at")
        batch_op.create_index("ix_rebuilds_leased_until", ["leased_until"], unique=False)
        batch_op.drop_column("settled_at")
        batch_op.drop_column("state")
