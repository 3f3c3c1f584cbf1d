"""The folded name of each metric; rules that would hit more by it stay as they were."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from anomify.metric.folding import fold

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

METRICS_AT_ONCE = 5_000
PATTERN_CHARACTERS_MAX = 512

metrics = sa.table(
    "metrics",
    sa.column("id", sa.Integer),
    sa.column("org_id", sa.Integer),
    sa.column("name", sa.Text),
    sa.column("folded_name", sa.Text),
)
exclusions = sa.table(
    "exclusions",
    sa.column("id", sa.Integer),
    sa.column("org_id", sa.Integer),
    sa.column("kind", sa.String),
    sa.column("pattern", sa.String),
)


def upgrade() -> None:
    # Not in batch mode: SQLite can add and drop this column without a new table.
    op.add_column("metrics", sa.Column("folded_name", sa.Text(), nullable=False, server_default=""))
    for rows in _names():
        op.get_bind().execute(
            sa.update(metrics)
            .where(metrics.c.id == sa.bindparam("metric_id"))
            .values(folded_name=sa.bindparam("folded")),
            [{"metric_id": metric_id, "folded": fold(name)} for metric_id, name in rows],
        )
    _keep_what_rules_hit()


def downgrade() -> None:
    op.drop_column("metrics", "folded_name")


def _names(org_id: int | None = None) -> Iterator[list[tuple[int, str]]]:
    last = 0
    while True:
        asked = sa.select(metrics.c.id, metrics.c.name).where(metrics.c.id > last)
        if org_id is not None:
            asked = asked.where(metrics.c.org_id == org_id)
        found = op.get_bind().execute(asked.order_by(metrics.c.id).limit(METRICS_AT_ONCE))
        rows = [(row.id, row.name) for row in found]
        if not rows:
            return
        yield rows
        last = rows[-1][0]


def _keep_what_rules_hit() -> None:
    """Make a regular expression of each rule that would now hit other metrics than before.

    Rules of the kinds prefix and contains went by upper and lower case and no longer do. No metric
    is to leave an org's alarms because of that.
    """
    asked = sa.select(exclusions).where(exclusions.c.kind.in_(("prefix", "contains")))
    for rule in op.get_bind().execute(asked).all():
        if not _hits_more(rule.org_id, rule.kind, rule.pattern):
            continue
        anchor = "^" if rule.kind == "prefix" else ""
        # RE2 takes what stands between \Q and \E as it is.
        quoted = anchor + r"\Q" + rule.pattern.replace(r"\E", r"\E\\E\Q") + r"\E"
        taken = sa.select(exclusions.c.id).where(
            exclusions.c.org_id == rule.org_id,
            exclusions.c.kind == "regex",
            exclusions.c.pattern == quoted,
        )
        if len(quoted) <= PATTERN_CHARACTERS_MAX and op.get_bind().scalar(taken) is None:
            op.get_bind().execute(
                sa.update(exclusions)
                .where(exclusions.c.id == rule.id)
                .values(kind="regex", pattern=quoted)
            )


def _hits_more(org_id: int, kind: str, pattern: str) -> bool:
    folded = fold(pattern)
    for rows in _names(org_id):
        for _, name in rows:
            if kind == "prefix":
                hit, hits = name.startswith(pattern), fold(name).startswith(folded)
            else:
                hit, hits = pattern in name, folded in fold(name)
            if hit is not hits:
                return True
    return False
