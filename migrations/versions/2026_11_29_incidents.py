"""Incidents, what each contact point was told of them, and messages that belong to both.

Anomalies that go on and were told become incidents, so that their end is told to those who were
told of their beginning.
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

WATCHER_COLUMNS = (
    ("group_wait_seconds", "0"),
    ("sustain_seconds", "0"),
    ("group_interval_seconds", "300"),
    ("recover_seconds", "0"),
)


def moment(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def refers(column: str, table: str, of: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{table}.id"], name=op.f(f"fk_{of}_{column}_{table}"), ondelete="CASCADE"
    )


def upgrade() -> None:
    for name, default in WATCHER_COLUMNS:
        # Not in batch mode: SQLite can add and drop these columns without a new table.
        op.add_column(
            "watchers", sa.Column(name, sa.Integer(), nullable=False, server_default=default)
        )
    op.add_column("watchers", sa.Column("reminder_seconds", sa.Integer(), nullable=True))
    op.add_column(
        "watchers",
        sa.Column("escalation_minutes", sa.JSON(), nullable=False, server_default="[]"),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        moment("opened_at", nullable=False),
        moment("changed_at", nullable=False),
        moment("closed_at"),
        sa.Column("first_anomaly_id", sa.Integer(), nullable=False),
        sa.Column("anomaly_count", sa.Integer(), nullable=False),
        refers("org_id", "orgs", "incidents"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("uuid", name=op.f("uq_incidents_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_org_id_opened_at", "incidents", ["org_id", "opened_at"])
    op.create_index("ix_incidents_org_id_is_open", "incidents", ["org_id", "is_open", "changed_at"])
    op.create_table(
        "incident_members",
        sa.Column("anomaly_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        moment("joined_at", nullable=False),
        refers("anomaly_id", "anomalies", "incident_members"),
        refers("incident_id", "incidents", "incident_members"),
        sa.PrimaryKeyConstraint("anomaly_id", name=op.f("pk_incident_members")),
    )
    op.create_index("ix_incident_members_incident_id", "incident_members", ["incident_id"])
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("watcher_id", sa.Integer(), nullable=False),
        sa.Column("contact_point_id", sa.Integer(), nullable=False),
        moment("due_at"),
        sa.Column("is_told_open", sa.Boolean(), nullable=False),
        moment("told_at"),
        moment("opening_told_at"),
        sa.Column("told_severity", sa.String(8), nullable=True),
        moment("flapping_told_at"),
        sa.Column("sequence", sa.Integer(), nullable=False),
        moment("held_since"),
        sa.Column("held_why", sa.String(500), nullable=True),
        sa.Column("held_kind", sa.String(16), nullable=True),
        sa.Column("is_missed", sa.Boolean(), nullable=False),
        refers("org_id", "orgs", "notifications"),
        refers("incident_id", "incidents", "notifications"),
        refers("watcher_id", "watchers", "notifications"),
        refers("contact_point_id", "contact_points", "notifications"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "incident_id",
            "watcher_id",
            "contact_point_id",
            name=op.f("uq_notifications_incident_id_watcher_id_contact_point_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_due_at", "notifications", ["due_at"])
    op.create_index(
        "ix_notifications_watcher_id_opening_told_at",
        "notifications",
        ["watcher_id", "opening_told_at"],
    )
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.add_column(sa.Column("contact_point_id", sa.Integer(), nullable=True))
        deliveries.add_column(sa.Column("incident_id", sa.Integer(), nullable=True))
        deliveries.add_column(sa.Column("notification_id", sa.Integer(), nullable=True))
        deliveries.add_column(
            sa.Column("sequence", sa.Integer(), nullable=False, server_default="0")
        )
        deliveries.add_column(sa.Column("reference", sa.Text(), nullable=True))
        deliveries.alter_column("watcher_id", existing_type=sa.Integer(), nullable=True)
        deliveries.alter_column(
            "recipient", existing_type=sa.String(80), type_=sa.String(200), nullable=False
        )
        for column, table in (
            ("contact_point_id", "contact_points"),
            ("incident_id", "incidents"),
            ("notification_id", "notifications"),
        ):
            deliveries.create_foreign_key(
                op.f(f"fk_deliveries_{column}_{table}"),
                table,
                [column],
                ["id"],
                ondelete="CASCADE",
            )
    name_contact_points(op.get_bind())
    open_incidents(op.get_bind())
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.drop_index("ix_deliveries_watcher_id_metric_id")
        deliveries.drop_constraint("uq_deliveries_one_per_recipient", type_="unique")
        deliveries.drop_constraint(op.f("fk_deliveries_anomaly_id_anomalies"), type_="foreignkey")
        deliveries.drop_column("anomaly_id")
    for name, columns in (
        ("ix_deliveries_notification_id_sequence", ["notification_id", "sequence"]),
        ("ix_deliveries_watcher_id_created_at", ["watcher_id", "created_at"]),
        ("ix_deliveries_org_id_created_at", ["org_id", "created_at"]),
        ("ix_deliveries_incident_id", ["incident_id"]),
    ):
        op.create_index(name, "deliveries", columns)
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.String(36), nullable=False),
        moment("ended_at", nullable=False),
        sa.Column("is_delivered", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        refers("delivery_id", "deliveries", "delivery_attempts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_attempts_delivery_id", "delivery_attempts", ["delivery_id"])


def downgrade() -> None:
    op.drop_table("delivery_attempts")
    for name in (
        "ix_deliveries_notification_id_sequence",
        "ix_deliveries_watcher_id_created_at",
        "ix_deliveries_org_id_created_at",
        "ix_deliveries_incident_id",
    ):
        op.drop_index(name, "deliveries")
    # What the former version cannot send: messages of no watcher, and of other kinds.
    op.execute(
        "DELETE FROM deliveries WHERE watcher_id IS NULL OR channel NOT IN ('webhook', 'email')"
        " OR transition NOT IN ('opened', 'recovered', 'test')"
    )
    with op.batch_alter_table("deliveries") as deliveries:
        for column, table in (
            ("notification_id", "notifications"),
            ("incident_id", "incidents"),
            ("contact_point_id", "contact_points"),
        ):
            deliveries.drop_constraint(op.f(f"fk_deliveries_{column}_{table}"), type_="foreignkey")
            deliveries.drop_column(column)
        deliveries.drop_column("sequence")
        deliveries.drop_column("reference")
        deliveries.add_column(sa.Column("anomaly_id", sa.Integer(), nullable=True))
        deliveries.alter_column("watcher_id", existing_type=sa.Integer(), nullable=False)
        deliveries.alter_column(
            "recipient", existing_type=sa.String(200), type_=sa.String(80), nullable=False
        )
        deliveries.create_foreign_key(
            op.f("fk_deliveries_anomaly_id_anomalies"),
            "anomalies",
            ["anomaly_id"],
            ["id"],
            ondelete="CASCADE",
        )
        deliveries.create_unique_constraint(
            "uq_deliveries_one_per_recipient",
            ["anomaly_id", "watcher_id", "transition", "channel", "recipient"],
        )
        deliveries.create_index(
            "ix_deliveries_watcher_id_metric_id", ["watcher_id", "metric_id", "created_at"]
        )
    op.drop_table("notifications")
    op.drop_table("incident_members")
    op.drop_table("incidents")
    for name, _ in reversed(WATCHER_COLUMNS):
        op.drop_column("watchers", name)
    op.drop_column("watchers", "reminder_seconds")
    op.drop_column("watchers", "escalation_minutes")


def name_contact_points(connection: sa.Connection) -> None:
    """Note for each message the contact point that its recipient has become."""
    connection.execute(
        sa.text(
            "UPDATE deliveries SET contact_point_id = (SELECT min(p.id) FROM contact_points p"
            " JOIN watcher_contacts w ON w.contact_point_id = p.id"
            " WHERE w.watcher_id = deliveries.watcher_id AND p.kind = deliveries.channel"
            " AND (p.kind = 'webhook' OR CAST(p.user_id AS TEXT) = deliveries.recipient))"
        )
    )


def open_incidents(connection: sa.Connection) -> None:
    """Make an incident of each anomaly that goes on and was told, and note who was told."""
    told = connection.execute(
        sa.text(
            "SELECT d.id, d.org_id, d.anomaly_id, d.watcher_id, d.contact_point_id, d.created_at,"
            " s.started_ms, s.severity FROM deliveries d JOIN spans s"
            " ON s.anomaly_id = d.anomaly_id WHERE s.is_open AND d.transition = 'opened'"
            " AND d.state <> 'dead' AND d.contact_point_id IS NOT NULL ORDER BY d.created_at, d.id"
        ).columns(created_at=sa.DateTime(timezone=True))
    ).all()
    incidents = sa.table(
        "incidents",
        *(
            sa.column(name)
            for name in (
                *("id", "uuid", "org_id", "kind", "severity", "is_open", "began_ms"),
                *("first_anomaly_id", "anomaly_count"),
            )
        ),
        sa.column("opened_at", sa.DateTime(timezone=True)),
        sa.column("changed_at", sa.DateTime(timezone=True)),
    )
    members = sa.table(
        "incident_members",
        *map(sa.column, ("anomaly_id", "incident_id")),
        sa.column("joined_at", sa.DateTime(timezone=True)),
    )
    notifications = sa.table(
        "notifications",
        *(
            sa.column(name)
            for name in (
                *("id", "org_id", "incident_id", "watcher_id", "contact_point_id"),
                *("is_told_open", "told_severity", "sequence", "is_missed"),
            )
        ),
        *(
            sa.column(name, sa.DateTime(timezone=True))
            for name in ("due_at", "told_at", "opening_told_at")
        ),
    )
    deliveries = sa.table(
        "deliveries",
        *map(sa.column, ("id", "anomaly_id", "incident_id", "notification_id", "sequence")),
    )
    made: dict[int, int] = {}
    for row in told:
        if row.anomaly_id not in made:
            made[row.anomaly_id] = connection.execute(
                sa.insert(incidents)
                .values(
                    uuid=str(uuid4()),
                    org_id=row.org_id,
                    kind="related",
                    severity=row.severity,
                    is_open=True,
                    began_ms=row.started_ms,
                    first_anomaly_id=row.anomaly_id,
                    anomaly_count=1,
                    opened_at=row.created_at,
                    changed_at=row.created_at,
                )
                .returning(incidents.c.id)
            ).scalar_one()
            connection.execute(
                sa.insert(members).values(
                    anomaly_id=row.anomaly_id,
                    incident_id=made[row.anomaly_id],
                    joined_at=row.created_at,
                )
            )
        notification_id = connection.execute(
            sa.insert(notifications)
            .values(
                org_id=row.org_id,
                incident_id=made[row.anomaly_id],
                watcher_id=row.watcher_id,
                contact_point_id=row.contact_point_id,
                is_told_open=True,
                told_severity=row.severity,
                sequence=1,
                is_missed=False,
                due_at=row.created_at,
                told_at=row.created_at,
                opening_told_at=row.created_at,
            )
            .returning(notifications.c.id)
        ).scalar_one()
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == row.id)
            .values(incident_id=made[row.anomaly_id], notification_id=notification_id, sequence=1)
        )
