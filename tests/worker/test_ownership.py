"""One worker judges at a time, on either database, and another takes over when it ends."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from anomify.db import Database
from anomify.worker.ownership import Ownership, OwnershipLost


class TestHeld:
    def test_keeps_a_second_worker_waiting_until_the_first_releases_the_lock(
        self, database: Database, tmp_path: Path
    ) -> None:
        stopping, took_over = threading.Event(), threading.Event()

        def stand_by() -> None:
            with Ownership(database, tmp_path).held(stopping) as is_ours:
                assert is_ours
                took_over.set()

        second = threading.Thread(target=stand_by)
        with Ownership(database, tmp_path).held(stopping) as is_ours:
            assert is_ours
            second.start()
            assert not took_over.wait(0.05)
        assert took_over.wait(10)
        second.join()

    def test_gives_up_waiting_when_asked_to_stop(self, database: Database, tmp_path: Path) -> None:
        stopping = threading.Event()
        with Ownership(database, tmp_path).held(stopping):
            stopping.set()
            with Ownership(database, tmp_path).held(stopping) as is_ours:
                assert not is_ours


class TestCheck:
    def test_notices_that_the_lock_in_the_database_has_ended(
        self, database: Database, tmp_path: Path
    ) -> None:
        ownership = Ownership(database, tmp_path)
        with ownership.held(threading.Event()):
            ownership.check()
            if database.is_sqlite:
                return
            with database.engine.connect() as other:
                other.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                        " AND database = (SELECT oid FROM pg_database"
                        " WHERE datname = current_database())"
                    )
                )
            with pytest.raises(OwnershipLost):
                ownership.check()
