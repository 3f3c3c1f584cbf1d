"""Units of work: commit, rollback, waiting writers, and SQL tools."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from sqlite3 import connect

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify import db_engine
from anomify.db import (
    Database,
    Page,
    batches,
    if_undone,
    insert_once,
    plain,
    publish,
    session,
)
from anomify.db_engine import SQLITE_BUSY_SECONDS
from anomify.metric.model import JudgingEpoch
from anomify.org.model import Org

MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def make_org(name: str, created_at: datetime = MOMENT) -> None:
    session().add(Org(name=name, created_at=created_at))


def names(database: Database) -> list[str]:
    with database.unit_of_work(write=False):
        return list(session().scalars(select(Org.name).order_by(Org.name)))


def names_written(database: Database) -> list[str]:
    with database.unit_of_work():
        return names(database)


@pytest.fixture
def sqlite_database(migrated_sqlite_file, tmp_path):
    shutil.copy(migrated_sqlite_file, tmp_path / "meta.db")
    opened = Database(f"sqlite:///{tmp_path / 'meta.db'}")
    yield opened
    opened.dispose()


class TestUnitOfWork:
    def test_commits_at_its_end(self, database):
        with database.unit_of_work():
            make_org("Acme")
            make_org("Globex")
        assert names(database) == ["Acme", "Globex"]

    def test_rolls_back_when_an_error_is_raised(self, database):
        with pytest.raises(LookupError), database.unit_of_work():
            make_org("Acme")
            session().flush()
            raise LookupError
        assert names(database) == []

    def test_changes_nothing_when_it_only_reads(self, database):
        with database.unit_of_work(write=False):
            make_org("Acme")
        assert names(database) == []

    def test_one_inside_another_joins_it(self, database):
        with pytest.raises(LookupError), database.unit_of_work():
            with database.unit_of_work():
                make_org("Acme")
            raise LookupError
        assert names(database) == []

    def test_one_that_writes_cannot_open_inside_one_that_reads(self, database):
        with (
            database.unit_of_work(write=False),
            pytest.raises(RuntimeError, match="reads"),
            database.unit_of_work(),
        ):
            make_org("Acme")

    def test_there_is_no_session_outside(self):
        with pytest.raises(RuntimeError, match="no unit of work"):
            session()

    def test_a_reader_does_not_wait_for_a_writer(self, database):
        seen = []
        with database.unit_of_work():
            make_org("Acme")
            session().flush()
            reader = threading.Thread(target=lambda: seen.append(names(database)))
            reader.start()
            reader.join()
        assert seen == [[]]

    def test_writers_at_once_all_succeed(self, database):
        def write(number: int) -> None:
            with database.unit_of_work():
                known = len(session().scalars(select(Org)).all())
                make_org(f"{number:02}-{known}")

        writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert [name[:2] for name in names(database)] == [f"{number:02}" for number in range(8)]

    def test_wait_seconds_of_zero_does_not_wait_for_another_process(self, sqlite_database):
        with closing(connect(sqlite_database.url.database, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            with (
                pytest.raises(OperationalError, match="locked"),
                sqlite_database.unit_of_work(wait_seconds=0),
            ):
                session().execute(text("SELECT 1"))
            writer.execute("ROLLBACK")
        # The connection it had is as patient as it was before.
        with sqlite_database.unit_of_work():
            waits_ms = session().execute(text("PRAGMA busy_timeout")).scalar()
        assert waits_ms == SQLITE_BUSY_SECONDS * 1000

    def test_a_waiting_writer_holds_no_connection(self, sqlite_database, monkeypatch):
        monkeypatch.setattr(db_engine, "SQLITE_BUSY_SECONDS", 0)

        def write() -> None:
            with sqlite_database.unit_of_work():
                make_org("Globex")

        with sqlite_database.unit_of_work(), ThreadPoolExecutor(1) as others:
            make_org("Acme")
            session().flush()
            with pytest.raises(PoolTimeout):
                others.submit(write).result()
            assert sqlite_database.engine.pool.checkedout() == 1
            assert others.submit(names, sqlite_database).result() == []
        assert names(sqlite_database) == ["Acme"]

    def test_limits_the_waiting_writers(self, sqlite_database, monkeypatch):
        monkeypatch.setattr(db_engine, "WAITING_SLOT_SECONDS", 0)
        monkeypatch.setattr(db_engine, "WRITERS_WAITING_MAX", 1)
        crowded = Database(str(sqlite_database.url))
        with (
            crowded.unit_of_work(),
            ThreadPoolExecutor(1) as others,
            pytest.raises(PoolTimeout, match="too many"),
        ):
            others.submit(names_written, crowded).result()
        crowded.dispose()


class TestUtcDateTime:
    def test_returns_moments_in_utc(self, database):
        elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
        with database.unit_of_work():
            make_org("Acme", created_at=elsewhere)
        with database.unit_of_work(write=False):
            found = session().scalars(select(Org)).one()
        assert found.created_at == MOMENT
        assert found.created_at.utcoffset() == timedelta(0)

    def test_refuses_a_moment_without_a_zone(self, database):
        with pytest.raises(StatementError, match="time zone"), database.unit_of_work():
            make_org("Acme", created_at=MOMENT.replace(tzinfo=None))
            session().flush()


class TestPlain:
    def test_copies_are_readable_after_a_failed_unit_of_work(self, database):
        with database.unit_of_work() as session:
            org = Org(name="Acme", created_at=MOMENT)
            session.add(org)
        with pytest.raises(ZeroDivisionError), database.unit_of_work() as session:
            row = session.get_one(Org, org.id)
            copy = plain(row)
            row.name = "Changed"
            session.flush()
            raise ZeroDivisionError
        assert (copy.id, copy.name, copy.uuid) == (org.id, "Acme", org.uuid)
        with database.unit_of_work() as session:
            # It belongs to no session: changes of it do not reach the database.
            copy.name = "Changed"
            assert copy not in session
        with database.unit_of_work(write=False) as session:
            assert session.get_one(Org, org.id).name == "Acme"


class TestPublishAndIfUndone:
    def test_notices_are_sent_after_the_commit_and_undo_calls_after_a_rollback(self, database):
        result = []
        database.subscribe(result.append)
        with database.unit_of_work():
            publish("one")
            if_undone(lambda: result.append("undone"))
            with database.unit_of_work():
                publish("two")
            assert result == []
        assert result == ["one", "two"]
        with pytest.raises(ZeroDivisionError), database.unit_of_work():
            publish("three")
            if_undone(lambda: result.append("second"))
            if_undone(lambda: result.append("first"))
            raise ZeroDivisionError
        assert result == ["one", "two", "first", "second"]
        if_undone(lambda: result.append("never"))
        assert result[-1] == "second"


class TestInsertOnce:
    def test_inserts_one_row_of_a_key_and_returns_whether_it_did(self, unit):
        row = {"name": "judging", "epoch": 1, "taken_by": "Alice", "taken_at": MOMENT}
        assert insert_once(JudgingEpoch, **row)
        assert not insert_once(JudgingEpoch, **{**row, "taken_by": "Bob"})
        assert [kept.taken_by for kept in unit.query(JudgingEpoch)] == ["Alice"]


class TestBatches:
    def test_contain_every_item_once_and_in_order(self):
        for count in (0, 1, 6, 7, 8, 20):
            slices = list(batches(range(count), 7))
            assert [item for some in slices for item in some] == list(range(count))
            assert all(0 < len(some) <= 7 for some in slices)


class TestPage:
    def test_counts_the_whole_list_once_and_only_when_asked(self, database, unit):
        make_org("Acme")
        statements = []

        def note(_connection, _cursor, statement, *_more):
            statements.append(statement)

        unit.flush()
        event.listen(database.engine, "before_cursor_execute", note)
        page = Page([], select(func.count()).select_from(Org))
        assert statements == []
        assert (page.total, page.total, len(statements)) == (1, 1, 1)
        event.remove(database.engine, "before_cursor_execute", note)
