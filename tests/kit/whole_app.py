"""The whole product as an app, on a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from anomify.config import Settings
from anomify.factory import create_app


@contextmanager
def whole_app(migrated_url: str, data_dir: Path, **settings: Any) -> Iterator[Flask]:
    """Yield the whole product on a migrated database."""
    is_file = migrated_url.startswith("sqlite")
    made = create_app(
        Settings(
            data_dir=data_dir,
            database_url=None if is_file else migrated_url,
            secret_key="k" * 64,
            **settings,
        )
    )
    yield made
    made.extensions["anomify"].points.close()
    made.extensions["anomify"].database.dispose()
