"""Fixtures of the tests of org export and deletion."""

import pytest


@pytest.fixture
def app_state(app):
    return app.extensions["anomify"]
