"""An app with a route for each access, and Alice, Bob, Dave and Charlie signed in to it."""

import pytest

from anomify.native import login
from anomify.native.user import account
from tests.factories import make_cast
from tests.kit.web import make_app, probe_blueprint


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [probe_blueprint(), login.blueprint, account.blueprint])
    yield app
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        return make_cast()


@pytest.fixture
def client(app):
    return app.test_client(use_cookies=False)


@pytest.fixture
def browser(app):
    return app.test_client()
