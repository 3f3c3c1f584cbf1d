"""The whole product as the factory makes it, on either database."""

import pytest

from tests.kit.tenants import open_product


@pytest.fixture
def product(migrated_url, tmp_path):
    with open_product(migrated_url, tmp_path) as opened:
        yield opened
