"""An app with a route for each access, on SQLite alone: none of this depends on the database."""

import shutil

import pytest

from anomify.db import Database
from tests.factories import make_cast
from tests.kit.web import make_app, probe_blueprint


@pytest.fixture
def database(migrated_sqlite_file, tmp_path):
    shutil.copy(migrated_sqlite_file, tmp_path / "meta.db")
    opened = Database(f"sqlite:///{tmp_path / 'meta.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [probe_blueprint()])
    yield app
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


@pytest.fixture
def client(app):
    return app.test_client(use_cookies=False)
