"""Ids that never return, and a random name of each org."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Whose ids the database makes. On PostgreSQL sequences never go back.
TABLES = (
    *("orgs", "users", "invitations", "tokens", "org_events", "raised_alerts", "metrics"),
    *("judged_batches", "anomalies", "watchers", "exclusions", "audit_entries"),
)
# Where else ids of a table are written down: they may be of rows that are gone. The audit trail
# names a deleted org as `org 7`; a mail's recipient is the id of a user.
MENTIONED = {
    "orgs": (
        "SELECT CAST(substr(target, 5) AS INTEGER) FROM audit_entries WHERE action = 'org.delete'",
    ),
    "users": (
        "SELECT CAST(recipient AS INTEGER) FROM deliveries WHERE channel = 'email'",
        "SELECT CAST(value AS INTEGER) FROM watchers, json_each(watchers.email_user_ids)",
        "SELECT CAST(value AS INTEGER) FROM admin_alerts, json_each(admin_alerts.email_user_ids)",
    ),
    "tokens": ("SELECT replaced_by_id FROM tokens",),
    "metrics": ("SELECT metric_id FROM deleted_metrics",),
    "exclusions": ("SELECT excluded_by FROM metrics",),
}
# A table that is made anew loses its triggers; these are those of 0004.
AUDIT_TRIGGERS = (
    """
    CREATE TRIGGER audit_entries_stay_as_they_are BEFORE UPDATE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END
    """,
    """
    CREATE TRIGGER audit_entries_stay BEFORE DELETE ON audit_entries
    WHEN EXISTS (SELECT 1 FROM orgs WHERE id = OLD.org_id)
    BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END
    """,
)
# Lists of users from which those who were removed were never taken.
LISTS = (("watchers", ("id",)), ("admin_alerts", ("org_id", "type_id")))


def upgrade() -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        greatest = {table: greatest_mentioned(connection, table) for table in TABLES}
        rebuild(connection, has_autoincrement=True)
    name_orgs(connection)
    take_removed_users_off_lists(connection)
    if is_sqlite:
        for table, mentioned in greatest.items():
            never_below(connection, table, mentioned)


def downgrade() -> None:
    connection = op.get_bind()
    with op.batch_alter_table("orgs") as orgs:
        orgs.drop_constraint("uq_orgs_uuid", type_="unique")
        orgs.drop_column("uuid")
    if connection.dialect.name == "sqlite":
        rebuild(connection, has_autoincrement=False)


def rebuild(connection: sa.Connection, *, has_autoincrement: bool) -> None:
    """Make each table anew with its rows, its indexes and what refers to it; the ids stay."""
    for table in TABLES:
        if table == "metrics":
            # It has been so since 0002.
            continue
        with op.batch_alter_table(
            table,
            recreate="always",
            table_kwargs={"sqlite_autoincrement": has_autoincrement},
        ) as batch:
            batch.alter_column("id", existing_type=sa.Integer(), nullable=False)
    for trigger in AUDIT_TRIGGERS:
        connection.execute(sa.text(trigger))


def greatest_mentioned(connection: sa.Connection, table: str) -> int:
    """Return the greatest id that anything says a row of this table has or had."""
    queries = (f"SELECT id FROM {table}", *MENTIONED.get(table, ()))
    found = [
        connection.scalar(sa.text(f"SELECT max(id) FROM (SELECT 0 AS id UNION ALL {query})"))
        for query in queries
    ]
    return max(found)


def never_below(connection: sa.Connection, table: str, mentioned: int) -> None:
    """Have the next id of a table be greater than this one."""
    named = {"name": table, "seq": mentioned}
    raised = connection.execute(
        sa.text("UPDATE sqlite_sequence SET seq = max(seq, :seq) WHERE name = :name"), named
    )
    if not raised.rowcount:
        connection.execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), named
        )


def name_orgs(connection: sa.Connection) -> None:
    """Give each org a random name that nothing else ever has."""
    op.add_column("orgs", sa.Column("uuid", sa.String(length=32), nullable=True))
    for (org_id,) in connection.execute(sa.text("SELECT id FROM orgs")).all():
        connection.execute(
            sa.text("UPDATE orgs SET uuid = :uuid WHERE id = :id"),
            {"uuid": secrets.token_hex(16), "id": org_id},
        )
    with op.batch_alter_table("orgs", table_kwargs={"sqlite_autoincrement": True}) as orgs:
        orgs.alter_column("uuid", existing_type=sa.String(length=32), nullable=False)
        orgs.create_unique_constraint("uq_orgs_uuid", ["uuid"])


def take_removed_users_off_lists(connection: sa.Connection) -> None:
    """Leave in each list of users only those whom the org still has."""
    users: dict[int, set[int]] = {}
    for user_id, org_id in connection.execute(sa.text("SELECT id, org_id FROM users")).all():
        users.setdefault(org_id, set()).add(user_id)
    for table, keys in LISTS:
        columns = sa.table(
            table,
            *map(sa.column, {*keys, "org_id"}),
            sa.column("email_user_ids", sa.JSON(none_as_null=True)),
        )
        for row in connection.execute(sa.select(columns)).mappings().all():
            listed = row["email_user_ids"]
            kept = [each for each in listed or () if each in users.get(row["org_id"], set())]
            if listed is None or kept == listed:
                continue
            # Warnings of an org's admins go to all of them where no user is chosen.
            left = None if table == "admin_alerts" and not kept else kept
            connection.execute(
                sa.update(columns)
                .where(*(columns.c[key] == row[key] for key in keys))
                .values(email_user_ids=left)
            )
