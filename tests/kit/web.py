"""An app on a test's own database, with the doors that a test is about."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask
from werkzeug.test import TestResponse

from anomify.auth import middleware
from anomify.config import Settings
from anomify.db import Database
from anomify.edge import porch
from anomify.edge.contract import check_declared
from anomify.edge.house import House
from anomify.metric.opening import open_points
from anomify.metric.registry import Registry


def make_app(
    database: Database, data_dir: Path, doors: Iterable[Blueprint], **settings: Any
) -> Flask:
    """An app whose errors are told like a user's, not raised into the test."""
    app = Flask("anomify")
    house = House(
        Settings(data_dir=data_dir, secret_key="k" * 64, **settings),
        database,
        open_points(database, data_dir),
        Registry(database),
    )
    porch.install(app, house)
    middleware.install(app, house)
    for door in doors:
        app.register_blueprint(door)
    check_declared(app)
    return app


def strict(reply: TestResponse) -> Any:
    """The reply's JSON, which must hold neither NaN nor infinities."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(reply.get_data(as_text=True), parse_constant=refuse)


def error(reply: TestResponse) -> dict[str, Any]:
    """What the envelope says went wrong; its code is the reply's."""
    told = strict(reply)
    assert told["status"]["code"] == reply.status_code
    assert told["data"] == {}
    return told["status"]["error"]
