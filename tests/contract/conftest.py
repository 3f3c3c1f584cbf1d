"""The whole product as the factory makes it, with Acme full of things and Charlie outside."""

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from anomify.config import Settings
from anomify.factory import create_app
from tests.factories import (
    Cast,
    make_anomaly,
    make_cast,
    make_delivery,
    make_metric,
    make_token,
    make_watcher,
)

# In the name of everything that is Acme's, so that it can be looked for wherever Charlie looks.
MARK = "acmes_own"


@dataclass
class Product:
    """An app, who uses it, and what Acme has in it, by the name of the parameter that names it."""

    app: Flask
    client: FlaskClient
    cast: Cast
    acmes: dict[str, Any]
    # Things that exist nowhere, by the same names.
    nobodys: dict[str, Any]
    tokens: dict[str, str]


@pytest.fixture
def product(migrated_url, tmp_path):
    is_file = migrated_url.startswith("sqlite")
    app = create_app(
        Settings(
            data_dir=tmp_path,
            database_url=None if is_file else migrated_url,
            secret_key="k" * 64,
        )
    )
    house = app.extensions["anomify"]
    with house.database.unit_of_work():
        cast = make_cast()
        metric = make_metric(cast.acme, f"{MARK}.load")
        anomaly = make_anomaly(metric, anomaly_id=424_242)
        watcher = make_watcher(cast.acme, MARK, name=f"{MARK} watcher", id=515_151)
        make_delivery(watcher, anomaly)
        make_watcher(cast.acme, MARK, name=f"{MARK} other")
        tokens = {
            name: make_token(org, "ingest", "read", "write", "admin", name=f"{name} robot")[1]
            for name, org in (("acme", cast.acme), ("globex", cast.globex))
        }
    acmes = {
        "metric": metric.name,
        "name": metric.name,
        "anomaly_id": anomaly.id,
        "event": anomaly.id,
        "watcher_id": watcher.id,
        "timestamp": anomaly.span.started_ms // 1000,
        "email_user_ids": str(cast.bob.id),
        "chips": MARK,
        "q": MARK,
        "search": MARK,
    }
    nobodys = {
        "metric": "nobodys.load",
        "name": "nobodys.load",
        "anomaly_id": 999_999,
        "event": 999_999,
        "watcher_id": 999_999,
        "timestamp": acmes["timestamp"],
        "email_user_ids": "999999",
        "chips": "nobodys",
        "q": "nobodys",
        "search": "nobodys",
    }
    yield Product(app, app.test_client(use_cookies=False), cast, acmes, nobodys, tokens)
    house.points.close()
    house.database.dispose()
