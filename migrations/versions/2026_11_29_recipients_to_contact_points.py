"""What watchers notify becomes contact points: e-mails to users, and webhooks with their secrets.

The columns of watchers stay until nothing reads them any more.
"""

import json
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NAME_MAX_CHARACTERS = 200
MOMENT = sa.DateTime(timezone=True)
POINTS = sa.table(
    "contact_points",
    sa.column("id", sa.Integer),
    sa.column("org_id", sa.Integer),
    sa.column("kind", sa.String),
    sa.column("name", sa.String),
    sa.column("user_id", sa.Integer),
    sa.column("settings_open", sa.JSON(none_as_null=True)),
    sa.column("former_secret_sealed", sa.Text),
    sa.column("former_secret_until", MOMENT),
    sa.column("lane", sa.String),
    sa.column("is_automatic", sa.Boolean),
    sa.column("stopped_at", MOMENT),
    sa.column("created_by", sa.String),
    sa.column("created_at", MOMENT),
)
LINKS = sa.table(
    "watcher_contacts",
    sa.column("watcher_id", sa.Integer),
    sa.column("contact_point_id", sa.Integer),
    sa.column("step", sa.Integer),
)
WATCHERS = sa.table(
    "watchers",
    sa.column("id", sa.Integer),
    sa.column("org_id", sa.Integer),
    sa.column("email_user_ids", sa.JSON),
    sa.column("webhook_url", sa.Text),
    sa.column("webhook_secret_sealed", sa.Text),
    sa.column("former_secret_sealed", sa.Text),
    sa.column("former_secret_until", MOMENT),
    sa.column("webhook_stopped_at", MOMENT),
    sa.column("created_by", sa.String),
    sa.column("created_at", MOMENT),
)
USERS = sa.table(
    "users", sa.column("id", sa.Integer), sa.column("org_id", sa.Integer), sa.column("name")
)


def upgrade() -> None:
    connection = op.get_bind()
    users = {
        row.id: row
        for row in connection.execute(sa.select(USERS.c.id, USERS.c.org_id, USERS.c.name))
    }
    taken: set[tuple[int, str]] = set()
    mailed: dict[tuple[int, int], int] = {}
    for watcher in connection.execute(sa.select(WATCHERS).order_by(WATCHERS.c.id)).all():
        for user_id in dict.fromkeys(listed(watcher.email_user_ids)):
            user = users.get(user_id)
            if user is None or user.org_id != watcher.org_id:
                continue
            key = (watcher.org_id, user_id)
            if key not in mailed:
                name = free_name(taken, watcher.org_id, f"E-mail to {user.name}")
                mailed[key] = add(watcher, kind="email", name=name, user_id=user_id, lane="@mail")
            link(watcher.id, mailed[key])
        if watcher.webhook_url:
            host = (urlsplit(watcher.webhook_url).hostname or "").lower()
            name = free_name(taken, watcher.org_id, f"Webhook to {host}")
            settings = {"url": watcher.webhook_url}
            if watcher.webhook_secret_sealed:
                settings["secret_sealed"] = watcher.webhook_secret_sealed
            added = add(
                watcher,
                kind="webhook",
                name=name,
                lane=host,
                settings_open=settings,
                former_secret_sealed=watcher.former_secret_sealed,
                former_secret_until=watcher.former_secret_until,
                stopped_at=watcher.webhook_stopped_at,
            )
            link(watcher.id, added)


def downgrade() -> None:
    # The columns of watchers still hold what was moved.
    op.execute("DELETE FROM watcher_contacts")
    op.execute("DELETE FROM contact_points")


def listed(value: Any) -> list[int]:
    found = json.loads(value) if isinstance(value, str) else value
    return [each for each in found or () if isinstance(each, int)]


def free_name(taken: set[tuple[int, str]], org_id: int, name: str) -> str:
    name = name[: NAME_MAX_CHARACTERS - 8]
    number, tried = 1, name
    while (org_id, tried.casefold()) in taken:
        number += 1
        tried = f"{name} ({number})"
    taken.add((org_id, tried.casefold()))
    return tried


def add(watcher: Any, **values: Any) -> int:
    inserted = op.get_bind().execute(
        sa.insert(POINTS)
        .values(
            org_id=watcher.org_id,
            is_automatic=True,
            created_by=watcher.created_by,
            created_at=watcher.created_at,
            **values,
        )
        .returning(POINTS.c.id)
    )
    return int(inserted.scalar_one())


def link(watcher_id: int, contact_point_id: int) -> None:
    op.get_bind().execute(
        sa.insert(LINKS).values(watcher_id=watcher_id, contact_point_id=contact_point_id, step=0)
    )
