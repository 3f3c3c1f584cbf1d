"""An app with a route for each access, and Alice, Bob, Dave and Charlie signed in to it."""

import pytest

from anomify.native import login
from anomify.native.user import account
from tests.kit.web import make_app, probe_blueprint


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [probe_blueprint(), login.blueprint, account.blueprint])
    yield app
    app.extensions["anomify"].points.close()


@pytest.fixture
def browser(app):
    return app.test_client()
