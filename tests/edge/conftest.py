"""An app with a route for each access, on SQLite alone: none of this depends on the database."""

import shutil

import pytest

from anomify.db import Database
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
