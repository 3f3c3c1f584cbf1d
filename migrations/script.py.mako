"""${message}."""
# Before you write it: one idea to a revision. Expand first, contract a release later, so that the
# version before this one still runs. On PostgreSQL no statement may hold a table longer than two
# seconds: create indexes concurrently, add constraints NOT VALID and validate them afterwards.

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
