"""Quiet hours of users: local times at which they get no messages but severe ones."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

COLUMNS = (
    ("quiet_from_minute", sa.Integer()),
    ("quiet_until_minute", sa.Integer()),
    ("quiet_timezone", sa.String(64)),
    ("quiet_weekdays", sa.JSON(none_as_null=True)),
    ("quiet_except_severity", sa.String(8)),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("users", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name, _ in COLUMNS:
        op.drop_column("users", name)
