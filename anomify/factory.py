"""create_app(settings): opens the databases and registers every blueprint."""

import atexit
import logging
from pathlib import Path

from flask import Flask

from anomify import config
from anomify.auth import middleware
from anomify.config import Settings
from anomify.dashboard.blueprints import dashboard_blueprints
from anomify.db import Database
from anomify.edge import install as edge_install
from anomify.edge.app_state import AppState
from anomify.edge.contract import check_declared
from anomify.edge.problem import answer_problems_under
from anomify.edge.static_files import StaticFilesApp
from anomify.exclusion.assigning import excluder_of
from anomify.ingest import flux, prometheus
from anomify.ingest.blueprints import ingest_blueprints
from anomify.metric.mixed import refuse_mixed
from anomify.metric.open_store import open_points
from anomify.metric.registry import Registry
from anomify.native.blueprints import native_blueprints

ROOT = Path(__file__).resolve().parent.parent


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application with its stores open. Raises ConfigError for unusable settings."""
    settings = (settings or config.load()).with_secret_key()
    logging.basicConfig(level=settings.log_level.upper())
    app = StaticFilesApp(
        "anomify", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static")
    )
    database = Database(settings.meta_url)
    points = open_points(database, settings.data_dir)
    refuse_mixed(database, points)
    registry = Registry(database, excluder_of)
    app_state = AppState(settings, database, points, registry)

    def follow() -> None:
        app_state.refused.flush()
        registry.follow_deleted()

    points.start_following(follow)
    atexit.register(points.close)
    atexit.register(app_state.refused.flush)
    edge_install.install(app, app_state)
    middleware.install(app, app_state)
    for blueprint in (*ingest_blueprints(), *native_blueprints(), *dashboard_blueprints()):
        app.register_blueprint(blueprint)
    # Unknown addresses are answered in the format of the blueprint with the longest common prefix.
    answer_problems_under(app, "/flux/", flux.blueprint)
    answer_problems_under(app, "/api/v1/", prometheus.blueprint)
    check_declared(app)
    return app
