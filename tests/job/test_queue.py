"""Any table of jobs: claimed by one at a time, never lost, and given up after some attempts."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from anomify.db import Database, session
from anomify.job.model import DEAD, DONE, PENDING, Job
from anomify.job.queue import Queue

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3


class TestTables(DeclarativeBase):
    """Not the product's tables: a migration must not be missed for these."""

    __test__ = False


class ExampleJob(Job, TestTables):
    """What a later kind of job needs: a table with a key of its own, and its columns."""

    __tablename__ = "example_jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(40), default="")


class Recount(Job, TestTables):
    """A kind that is requested by its subject, and whose rows are deleted when they are done."""

    __tablename__ = "recounts"
    is_deleted_when_done = True

    subject: Mapped[str] = mapped_column(String(40), primary_key=True)


def pause(attempts: int) -> timedelta:
    return 10 * SECOND * 2 ** (attempts - 1)


EXAMPLE_JOBS = Queue(ExampleJob, LEASE, MOST_ATTEMPTS, pause)
RECOUNTS = Queue(Recount, LEASE, MOST_ATTEMPTS, pause)


@pytest.fixture
def jobs(database: Database) -> Iterator[Database]:
    TestTables.metadata.create_all(database.engine)
    yield database
    TestTables.metadata.drop_all(database.engine)


@pytest.fixture
def unit(jobs: Database) -> Iterator[None]:
    with jobs.unit_of_work():
        yield


def request(*due_at: datetime) -> list[int]:
    rows = [ExampleJob(created_at=at, due_at=at) for at in due_at]
    session().add_all(rows)
    session().flush()
    return [row.id for row in rows]


def claim(at: datetime, most: int = 10) -> list[tuple[int, datetime]]:
    return [(job.id, job.leased_until) for job in EXAMPLE_JOBS.claim(at, most)]


def example_job(key: int) -> ExampleJob:
    session().flush()
    return session().get_one(ExampleJob, key, populate_existing=True)


@pytest.mark.usefixtures("unit")
class TestClaim:
    def test_takes_what_has_been_due_longest_first_and_nothing_early(self) -> None:
        late, first, second = request(NOON + SECOND, NOON - 2 * SECOND, NOON - SECOND)
        assert EXAMPLE_JOBS.is_any_due(NOON)
        assert [key for key, _ in claim(NOON, 1)] == [first]
        assert [key for key, _ in claim(NOON)] == [second]
        assert not EXAMPLE_JOBS.is_any_due(NOON)
        assert [key for key, _ in claim(NOON + SECOND)] == [late]

    def test_takes_only_what_meets_the_conditions(self) -> None:
        first, second = request(NOON, NOON)
        assert not EXAMPLE_JOBS.is_any_due(NOON, ExampleJob.id > second)
        assert [job.id for job in EXAMPLE_JOBS.claim(NOON, 10, ExampleJob.id != first)] == [second]
        assert [job.id for job in EXAMPLE_JOBS.claim_chosen([second, first], NOON)] == [first]

    def test_puts_a_job_whose_lease_ran_out_behind_those_that_wait_longer(self) -> None:
        (poison,) = request(NOON)
        claim(NOON)
        waiting = request(NOON + SECOND, NOON + LEASE - SECOND)
        assert [key for key, _ in claim(NOON + LEASE)] == [*waiting, poison]

    def test_gives_up_a_job_that_never_ends_and_goes_on_with_the_rest(self) -> None:
        (poison,) = request(NOON)
        at = NOON
        for _ in range(MOST_ATTEMPTS):
            assert [key for key, _ in claim(at)] == [poison]
            at += LEASE
        (sound,) = request(at)
        assert [key for key, _ in claim(at)] == [sound]
        row = example_job(poison)
        assert (row.state, row.attempts, row.settled_at) == (DEAD, MOST_ATTEMPTS, at)
        assert row.last_error
        assert claim(at + timedelta(days=365), 1) == [(sound, at + timedelta(days=365) + LEASE)]


@pytest.mark.usefixtures("unit")
class TestSettle:
    def test_marks_a_job_done_once(self) -> None:
        request(NOON)
        ((key, until),) = claim(NOON)
        assert EXAMPLE_JOBS.finish(key, until, NOON + SECOND)
        row = example_job(key)
        assert (row.state, row.settled_at, row.leased_until) == (DONE, NOON + SECOND, None)
        assert not EXAMPLE_JOBS.finish(key, until, NOON + SECOND)
        assert EXAMPLE_JOBS.finish_unleased(key, NOON) is None
        assert claim(NOON + timedelta(days=1)) == []

    def test_changes_nothing_after_another_worker_has_claimed_it(self) -> None:
        request(NOON)
        ((key, late),) = claim(NOON)
        ((_, until),) = claim(NOON + LEASE)
        assert not EXAMPLE_JOBS.finish(key, late, NOON + LEASE)
        EXAMPLE_JOBS.fail(key, late, "too late", NOON + LEASE)
        row = example_job(key)
        assert (row.state, row.leased_until, row.last_error) == (PENDING, until, None)

    def test_accepts_an_effect_outside_the_database_without_the_lease(self) -> None:
        request(NOON)
        ((key, _),) = claim(NOON)
        ((_, until),) = claim(NOON + LEASE)
        assert EXAMPLE_JOBS.finish_unleased(key, NOON + LEASE).state == DONE
        assert not EXAMPLE_JOBS.finish(key, until, NOON + LEASE)

    def test_waits_longer_after_each_failure_and_then_gives_up(self) -> None:
        (key,) = request(NOON)
        at = NOON
        for attempts in range(1, MOST_ATTEMPTS):
            ((_, until),) = claim(at)
            EXAMPLE_JOBS.fail(key, until, "The disk is full.", at)
            assert EXAMPLE_JOBS.latest_problem() == "The disk is full."
            assert claim(at + pause(attempts) - SECOND) == []
            at += pause(attempts)
        ((_, until),) = claim(at)
        assert EXAMPLE_JOBS.count_waiting() == 1
        EXAMPLE_JOBS.fail(key, until, "x" * 10_000, at)
        row = example_job(key)
        assert (row.state, row.attempts, len(row.last_error)) == (DEAD, MOST_ATTEMPTS, 500)
        assert EXAMPLE_JOBS.count_waiting() == 0
        assert EXAMPLE_JOBS.latest_problem() is None
        assert claim(at + timedelta(days=365)) == []


@pytest.mark.usefixtures("unit")
class TestRequestAgain:
    def request(self, at: datetime) -> Recount:
        row = Recount(subject="Acme", created_at=at, due_at=at)
        session().add(row)
        session().flush()
        return row

    def test_deletes_what_is_done(self) -> None:
        self.request(NOON)
        (job,) = RECOUNTS.claim(NOON, 1)
        assert RECOUNTS.finish(job.subject, job.leased_until, NOON)
        session().flush()
        assert session().scalars(select(Recount)).all() == []

    def test_does_it_again_where_it_was_requested_during_the_attempt(self) -> None:
        self.request(NOON)
        (job,) = RECOUNTS.claim(NOON, 1)
        until = job.leased_until
        RECOUNTS.request_again(job, NOON + SECOND)
        assert RECOUNTS.claim(NOON + SECOND, 1) == [], "one is at it"
        assert RECOUNTS.finish("Acme", until, NOON + SECOND)
        (again,) = RECOUNTS.claim(NOON + SECOND, 1)
        assert again.attempts == 1

    def test_does_not_shorten_the_pause_after_a_failure(self) -> None:
        self.request(NOON)
        (job,) = RECOUNTS.claim(NOON, 1)
        RECOUNTS.fail("Acme", job.leased_until, "The disk is full.", NOON)
        for _ in range(2):
            RECOUNTS.request_again(job, NOON + SECOND)
            assert RECOUNTS.claim(NOON + pause(1) - SECOND, 1) == []
        (again,) = RECOUNTS.claim(NOON + pause(1), 1)
        assert again.attempts == 1

    def test_takes_up_what_was_given_up(self) -> None:
        job = self.request(NOON)
        RECOUNTS.give_up(job, "The disk is full.", NOON)
        RECOUNTS.request_again(job, NOON + SECOND)
        assert (job.settled_at, len(RECOUNTS.claim(NOON + SECOND, 1))) == (None, 1)


class TestManyClaimers:
    def test_never_get_the_same_job(self, jobs: Database) -> None:
        with jobs.unit_of_work():
            keys = request(*[NOON] * 40)
        claimed: list[int] = []
        start = threading.Barrier(4)

        def work() -> None:
            start.wait()
            idle = 0
            # The others may hold the rows that one of them has just looked up.
            while idle < 3:
                with jobs.unit_of_work():
                    mine = claim(NOON, 3)
                claimed.extend(key for key, _ in mine)
                for key, until in mine:
                    with jobs.unit_of_work():
                        assert EXAMPLE_JOBS.finish(key, until, NOON)
                idle = 0 if mine else idle + 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert Counter(claimed) == dict.fromkeys(keys, 1)


WORKERS = st.integers(0, 2)


class Interleaving(RuleBasedStateMachine):
    """Three processes that claim, finish, fail, pause and are killed, in any order.

    What a process did counts only if it could settle it; the model has the lease that is in force.
    """

    @initialize()
    def open(self) -> None:
        self.directory = TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.directory.name) / 'jobs.db'}")
        TestTables.metadata.create_all(self.database.engine)
        self.at = NOON
        self.requested: list[int] = []
        # What each process believes to hold.
        self.believed: dict[int, dict[int, datetime]] = {worker: {} for worker in range(3)}
        # Which lease of a job is the latest.
        self.latest: dict[int, datetime] = {}
        self.attempts: Counter[int] = Counter()
        self.settled: dict[int, str] = {}

    def teardown(self) -> None:
        if not hasattr(self, "database"):
            return
        try:
            self.drain()
        finally:
            self.database.dispose()
            self.directory.cleanup()

    @rule(seconds=st.integers(0, 90))
    def request(self, seconds: int) -> None:
        with self.database.unit_of_work():
            self.requested += request(self.at + seconds * SECOND)

    @rule(worker=WORKERS, most=st.integers(1, 3))
    def claim(self, worker: int, most: int) -> None:
        with self.database.unit_of_work():
            claimed = claim(self.at, most)
        for key, until in claimed:
            held_until = self.latest.get(key, self.at)
            assert held_until <= self.at, "another process held it"
            assert key not in self.settled
            self.attempts[key] += 1
            self.believed[worker][key] = self.latest[key] = until

    @rule(worker=WORKERS, is_done=st.booleans())
    def settle(self, worker: int, is_done: bool) -> None:
        if not self.believed[worker]:
            return
        key, until = self.believed[worker].popitem()
        is_ours = key not in self.settled and self.latest.get(key) == until
        with self.database.unit_of_work():
            if is_done:
                assert EXAMPLE_JOBS.finish(key, until, self.at) == is_ours
            else:
                EXAMPLE_JOBS.fail(key, until, "It failed.", self.at)
        if is_ours:
            del self.latest[key]
            if is_done:
                self.settled[key] = DONE
            elif self.attempts[key] == MOST_ATTEMPTS:
                self.settled[key] = DEAD

    @rule(worker=WORKERS)
    def kill(self, worker: int) -> None:
        self.believed[worker].clear()

    @rule(seconds=st.sampled_from([1, 10, 59, 60, 61, 300]))
    def wait(self, seconds: int) -> None:
        self.at += seconds * SECOND

    @invariant()
    def every_job_is_there_and_as_it_was_settled(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.unit_of_work(write=False):
            rows = {row.id: row for row in session().scalars(select(ExampleJob))}
        assert list(rows) == self.requested
        for key, row in rows.items():
            assert row.attempts == self.attempts[key] <= MOST_ATTEMPTS
            if key in self.settled:
                assert row.state == self.settled[key]
            elif row.state == DEAD:
                # It was never settled: its last lease ran out.
                assert self.attempts[key] == MOST_ATTEMPTS
                assert self.latest[key] <= self.at
                self.settled[key] = DEAD
            else:
                assert row.state == PENDING
            assert (row.state == PENDING) == (row.settled_at is None)

    def drain(self) -> None:
        """Whatever happened so far, every job is done or given up when one process goes on."""
        for _ in range(len(self.requested) + MOST_ATTEMPTS):
            self.wait(300)
            self.claim(0, 3)
            self.every_job_is_there_and_as_it_was_settled()
            while self.believed[0]:
                self.settle(0, is_done=True)
            self.every_job_is_there_and_as_it_was_settled()
        assert self.settled.keys() == set(self.requested)


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
