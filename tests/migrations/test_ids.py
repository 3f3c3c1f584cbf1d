"""The revision after which ids never return keeps every row, and counts on from what was known."""

import json

import pytest
from alembic import command
from sqlalchemy import inspect, text

from anomify.admin_alert.model import AdminAlert
from anomify.audit.recording import record_audit
from anomify.db import Database
from anomify.org.model import Org
from anomify.user.model import User
from tests.conftest import alembic_config
from tests.factories import (
    make_anomaly,
    make_delivery,
    make_metric,
    make_org,
    make_token,
    make_user,
    make_watcher,
)

BEFORE = "0008"
# Ids of rows that are gone, and that something still mentions.
GONE = {"orgs": 4711, "users": 4712, "metrics": 4713, "exclusions": 4714, "tokens": 4715}


@pytest.fixture
def filled(engine_url):
    """A database as it was before the revision: made with today's rows, and taken back."""
    alembic = alembic_config(engine_url)
    command.upgrade(alembic, "head")
    database = Database(engine_url)
    with database.unit_of_work() as session:
        org = make_org()
        alice = make_user(org)
        token, _ = make_token(org)
        token.replaced_by_id = GONE["tokens"]
        metric = make_metric(org)
        metric.excluded_by = GONE["exclusions"]
        watcher = make_watcher(org, email_user_ids=[alice.id, GONE["users"]])
        make_delivery(watcher, make_anomaly(metric), recipient=str(alice.id))
        for type_id, result in ((1, [GONE["users"]]), (2, [alice.id]), (3, None)):
            session.add(
                AdminAlert(
                    org_id=org.id,
                    type_id=type_id,
                    wait_seconds=500,
                    expiration_seconds=3600,
                    is_enabled=True,
                    email_user_ids=result,
                )
            )
        session.execute(
            text("INSERT INTO deleted_metrics (metric_id, deleted_at) VALUES (:id, :at)"),
            {"id": GONE["metrics"], "at": "2026-11-01 00:00:00+00:00"},
        )
        record_audit(None, actor="owner", action="org.delete", target=f"org {GONE['orgs']}")
        record_audit(org.id, actor="Alice", action="user.login")
    database.dispose()
    command.downgrade(alembic, BEFORE)
    return alembic, engine_url


def look_at(url):
    """Every row, index and reference, by table."""
    database = Database(url)
    with database.engine.connect() as connection:
        looked = inspect(connection)
        found = {
            table: (
                connection.scalar(text(f'SELECT count(*) FROM "{table}"')),
                sorted(str(index["name"]) for index in looked.get_indexes(table)),
                sorted(str(key["name"]) for key in looked.get_foreign_keys(table)),
            )
            for table in looked.get_table_names()
        }
    database.dispose()
    return found


class TestEveryRevision:
    def test_lets_no_id_return_that_was_given_before_it(self, engine_url):
        alembic = alembic_config(engine_url)
        command.upgrade(alembic, "head")
        database = Database(engine_url)
        with database.unit_of_work() as session:
            kept = make_org()
            last = make_org("Last")
            gone = {"org": last.id, "user": make_user(last).id, "metric": make_metric(last).id}
            session.delete(last)
        database.dispose()
        command.downgrade(alembic, "0001")
        command.upgrade(alembic, "head")
        with database.unit_of_work() as session:
            org = make_org("Next")
            made = {"org": org.id, "user": make_user(org).id, "metric": make_metric(org).id}
            assert all(made[name] > gone[name] for name in gone), (gone, made)
            assert session.get(Org, kept.id) is not None
        database.dispose()


# A later revision put another one in the place of each.
REPLACED_INDEXES = {
    *("ix_spans_is_open", "ix_rebuilds_leased_until"),
    *("ix_deliveries_watcher_id_metric_id", "uq_deliveries_one_per_recipient"),
    "uq_spans_metric_id_started_ms_is_silence",
}
# Messages refer to incidents instead of anomalies since 0029.
REPLACED_REFERENCES = {"deliveries"}


class TestRevision:
    def test_keeps_rows_indexes_references_and_the_trail(self, filled):
        alembic, url = filled
        before = look_at(url)
        command.upgrade(alembic, "head")
        after = look_at(url)
        for table, (rows, indexes, references) in before.items():
            if table == "alembic_version":
                continue
            assert after[table][0] == rows, table
            assert set(indexes) - REPLACED_INDEXES <= set(after[table][1]), table
            if table not in REPLACED_REFERENCES:
                assert references == after[table][2], table
        database = Database(url)
        with pytest.raises(Exception, match="only grows"), database.unit_of_work() as session:
            session.execute(text("UPDATE audit_entries SET actor = 'Mallory'"))
        with database.unit_of_work() as session:
            session.delete(session.query(Org).one())
        with database.unit_of_work(write=False) as session:
            assert session.query(User).count() == 0
        database.dispose()

    def test_counts_on_from_every_id_that_is_mentioned(self, filled):
        alembic, url = filled
        command.upgrade(alembic, "head")
        database = Database(url)
        with database.unit_of_work() as session:
            org = make_org("Next")
            made = {
                "orgs": org.id,
                "users": make_user(org).id,
                "metrics": make_metric(org, "next").id,
                "tokens": make_token(org)[0].id,
            }
            assert len(org.uuid) == 32
            uuids = [each.uuid for each in session.query(Org)]
            assert len(set(uuids)) == 2
            if database.is_sqlite:
                assert {table: each > GONE[table] for table, each in made.items()} == dict.fromkeys(
                    made, True
                )
            else:
                # Sequences have never gone back.
                assert all(each > 1 for each in made.values())
        database.dispose()

    def test_leaves_only_users_that_there_are_on_lists(self, filled):
        alembic, url = filled
        command.upgrade(alembic, "head")
        database = Database(url)
        with database.engine.connect() as connection:
            alice = connection.scalar(text("SELECT id FROM users"))
            result = connection.scalar(text("SELECT email_user_ids FROM watchers"))
            warned = connection.execute(
                text("SELECT email_user_ids FROM admin_alerts ORDER BY type_id")
            ).scalars()
            lists = [each if not isinstance(each, str) else json.loads(each) for each in warned]
            assert (result if not isinstance(result, str) else json.loads(result)) == [alice]
            assert lists == [None, [alice], None]
        database.dispose()
