"""What every test may ask for: a database of either kind, empty or migrated, and a unit of work."""

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from argon2 import PasswordHasher
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from anomify.db import Database
from anomify.db_engine import meta_url
from anomify.storage.database import PointDatabase
from anomify.storage.postgresql import PointTables
from anomify.user import password
from tests.factories import CHEAP_HASHER, make_cast
from tests.kit import clock, postgres
from tests.kit.marks import LEFT_OUT, explain_missing, needs_more, say_what_was_left_out
from tests.kit.points import Machines
from tests.kit.statements import share_compiled_statements
from tests.kit.templates import share_compiled_templates

ROOT = Path(__file__).parent.parent
BACKENDS = ("sqlite", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    # What the person who runs the tests has set must not reach them.
    for variable in [name for name in os.environ if name.startswith("ANOMIFY_")]:
        del os.environ[variable]
    os.environ["ANOMIFY_CONFIG"] = os.devnull
    clock.prepare_hypothesis()
    share_compiled_statements()
    share_compiled_templates()
    if not hasattr(config, "workerinput"):
        config.stash[RUN] = (postgres.new_run_directory(), os.getpid())
    else:
        directory, owner = config.workerinput["run"]
        config.stash[RUN] = (Path(directory), owner)


RUN = pytest.StashKey[tuple[Path, int]]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    directory, owner = node.config.stash[RUN]
    node.workerinput["run"] = (str(directory), owner)


def pytest_deselected(items: list[pytest.Item]) -> None:
    config = items[0].config
    config.stash[LEFT_OUT] = config.stash.get(LEFT_OUT, 0) + sum(map(needs_more, items))
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and RUN in config.stash:
        postgres.stop_server(config.stash[RUN][0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest ones first, so that no worker is left with one of them at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    # Modules and collected tests stay to the end: no collection need look through them again.
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    clock.run_at_each_moment(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with clock.standing_still():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with clock.set_for(item):
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    explain_missing(item)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    say_what_was_left_out(terminalreporter, config)


# --- passwords ---


@pytest.fixture(scope="session", autouse=True)
def cheap_password_hashes() -> Iterator[None]:
    """Let the product hash passwords with little work in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "_hasher", CHEAP_HASHER)
        yield


@pytest.fixture
def costly_password_hashes() -> Iterator[None]:
    """Let the product hash passwords in one test as it does in operation."""
    # It is compared with where there is no user, and kept from then on.
    password._hash_of_no_user.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(password, "_hasher", PasswordHasher())
        yield
    password._hash_of_no_user.cache_clear()


# --- databases ---


def alembic_config(url: str) -> Config:
    config = Config(toml_file=str(ROOT / "pyproject.toml"))
    config.attributes["url"] = url
    return config


class PostgresDatabases:
    """Makes and drops databases on the run's one server."""

    def __init__(self, run_directory: Path, prefix: str) -> None:
        self._directory = run_directory
        self._prefix = prefix
        self._numbers = count()
        self._admin = psycopg.connect(postgres.url_of(run_directory, "postgres"), autocommit=True)
        self._template: str | None = None

    def create(self, template: str = "template0") -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        self._admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def migrated_template(self) -> str:
        if self._template is None:
            self._template = self.create()
            url = self.url_of(self._template)
            command.upgrade(alembic_config(url), "head")
            # Every product makes them at its first start.
            engine = create_engine(meta_url(url))
            PointTables(engine)
            engine.dispose()
        return self._template

    def url_of(self, name: str) -> str:
        return postgres.url_of(self._directory, name)

    def close(self) -> None:
        self._admin.close()


@pytest.fixture(scope="session")
def postgres_databases(pytestconfig: pytest.Config) -> Iterator[PostgresDatabases]:
    directory, owner = pytestconfig.stash[RUN]
    postgres.ensure_server(directory, owner)
    databases = PostgresDatabases(directory, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "meta.db"
    command.upgrade(alembic_config(f"sqlite:///{path}"), "head")
    return path


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database; a test that uses it runs once with each."""
    return request.param


@pytest.fixture
def new_database(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """Make databases of this test's kind; each call returns the URL of another one."""
    if backend == "sqlite":

        def make_file(*, migrated: bool) -> str:
            path = tmp_path / "meta.db"
            if migrated:
                shutil.copy(request.getfixturevalue("migrated_sqlite_file"), path)
            return f"sqlite:///{path}"

        yield make_file
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    made = []

    def make_database(*, migrated: bool) -> str:
        made.append(databases.create(databases.migrated_template() if migrated else "template0"))
        return databases.url_of(made[-1])

    yield make_database
    for name in made:
        databases.drop(name)


@pytest.fixture
def engine_url(new_database: Callable[..., str]) -> str:
    """The URL of a fresh and empty database."""
    return new_database(migrated=False)


@pytest.fixture
def migrated_url(new_database: Callable[..., str]) -> str:
    """The URL of a fresh database in which every table stands."""
    return new_database(migrated=True)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A fresh database with every table, opened."""
    opened = Database(migrated_url)
    opened.sealing_key = b"s" * 32
    yield opened
    opened.dispose()


@pytest.fixture
def unit(database: Database) -> Iterator[Session]:
    """An open unit of work in a fresh database; it is committed when the test is over."""
    with database.unit_of_work() as session:
        yield session


# --- points ---


@pytest.fixture
def machines(engine_url: str, tmp_path: Path) -> Iterator[Machines]:
    """A fresh and empty database of points, to be opened as often as a test wants processes."""
    opened = Machines(engine_url, tmp_path / "points")
    yield opened
    opened.close()


@pytest.fixture
def point_database(machines: Machines) -> PointDatabase:
    """A fresh and empty database of points."""
    return machines.open()


@pytest.fixture
def cast(database):
    """Return the usual orgs and users with their sessions, made in the test's database."""
    with database.unit_of_work():
        return make_cast()


@pytest.fixture
def client(app):
    """Return a client of the test's app that keeps no cookies."""
    return app.test_client(use_cookies=False)
