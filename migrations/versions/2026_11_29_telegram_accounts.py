"""The account of a user at Telegram."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("telegram_member_id", sa.String(20), nullable=True))


def downgrade() -> None:
    op.drop_column("users", "telegram_member_id")
