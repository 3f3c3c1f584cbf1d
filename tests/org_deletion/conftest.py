"""Fixtures of the tests of org export and deletion."""

import pytest


@pytest.fixture
def app_state(app):
    return app.extensions["anomify"]


@pytest.fixture
def client(app):
    return app.test_client(use_cookies=False)
