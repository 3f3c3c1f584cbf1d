"""The whole product as the factory makes it, on either database."""

import pytest

from tests.kit.tenants import open_product


@pytest.fixture
def product(migrated_url, tmp_path):
    with open_product(migrated_url, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def described_product(migrated_sqlite_file, tmp_path_factory):
    """A product for tests that only read what its routes declare, which no database changes."""
    directory = tmp_path_factory.mktemp("described")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        yield opened
