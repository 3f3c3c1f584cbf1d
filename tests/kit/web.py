"""An app on a test's own database, with the blueprints that a test is about."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from flask import Blueprint, Flask
from flask import session as flask_session
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from anomify.auth import middleware
from anomify.auth.subject import subject
from anomify.config import Settings
from anomify.db import Database
from anomify.edge import install as edge_install
from anomify.edge.access import ANYONE, BUILT_IN, PUBLIC
from anomify.edge.app_state import AppState
from anomify.edge.contract import Inputs, Outputs, check_declared
from anomify.edge.static_files import StaticFilesApp
from anomify.exclusion.assigning import excluder_of
from anomify.metric.open_store import open_points
from anomify.metric.registry import Registry
from anomify.native.envelope import NativeBlueprint
from tests.factories import Cast

ROOT = Path(__file__).parents[2]


def make_app(
    database: Database, data_dir: Path, blueprints: Iterable[Blueprint], **settings: Any
) -> Flask:
    """Return an app whose errors become replies as in production, and are not raised."""
    app = StaticFilesApp(
        "anomify", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static")
    )
    app_state = AppState(
        Settings(data_dir=data_dir, secret_key="k" * 64, **settings),
        database,
        open_points(database, data_dir),
        Registry(database, excluder_of),
    )
    edge_install.install(app, app_state)
    middleware.install(app, app_state)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    check_declared(app)
    return app


def strict(reply: TestResponse) -> Any:
    """The reply's JSON, which must hold neither NaN nor infinities."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(reply.get_data(as_text=True), parse_constant=refuse)


def error(reply: TestResponse) -> dict[str, Any]:
    """What the envelope says went wrong; its code is the reply's."""
    result = strict(reply)
    assert result["status"]["code"] == reply.status_code
    assert result["data"] == {}
    found: dict[str, Any] = result["status"]["error"]
    return found


class ProbeIn(Inputs):
    count: int = 0
    is_fast: bool = False
    words: tuple[str, ...] = ()
    note: str = ""
    ratio: float = 1.0


class ProbeOut(Outputs):
    caller: str
    count: int = 0
    is_fast: bool = False
    words: tuple[str, ...] = ()
    note: str = ""
    ratio: float = 1.0


def probe_blueprint() -> NativeBlueprint:
    """A route to read and one to change for each access, which say who asked for what."""
    blueprint = NativeBlueprint("probe", __name__)

    def answer(requested: ProbeIn) -> ProbeOut:
        """Say what was asked, by whom."""
        return ProbeOut(caller=subject().label, **requested.model_dump())

    for access in BUILT_IN:
        blueprint.route(
            f"/probe/{access}",
            f"/probe/{access}/<int:count>",
            inputs=ProbeIn,
            outputs=ProbeOut,
            access=access,
            endpoint=str(access),
        )(answer)
        blueprint.route(
            f"/probe/{access}/change",
            inputs=ProbeIn,
            outputs=ProbeOut,
            access=access,
            changes=True,
            endpoint=f"change_{access}",
        )(answer)

    @blueprint.route("/probe/failure", access=PUBLIC)
    def failure() -> NoReturn:
        """Raise an error that the app does not handle."""
        raise ZeroDivisionError("the secret of the server")

    @blueprint.route("/probe/remember", access=ANYONE, inputs=ProbeIn, outputs=ProbeOut)
    def remember(requested: ProbeIn) -> ProbeOut:
        """Remember a note in the session, and give back the one before."""
        before = flask_session.get("note", "")
        if requested.note:
            flask_session["note"] = requested.note
        return ProbeOut(caller=subject().label, note=before)

    return blueprint


class ApiClient:
    """Requests of the usual users to the native API; subclasses have `client` and `cast`."""

    client: FlaskClient
    cast: Cast

    def get(self, url: str, who: str = "alice", **query: Any) -> Any:
        """Send a GET as a user and return the reply."""
        return self.client.get(url, headers=self.cast.headers(who), query_string=query)

    def data(self, url: str, who: str = "alice", **query: Any) -> Any:
        """Return the data of a reply that must be 200."""
        reply = self.get(url, who, **query)
        assert reply.status_code == 200, reply.get_data(as_text=True)
        return strict(reply)["data"]
