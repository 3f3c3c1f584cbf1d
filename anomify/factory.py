"""create_app(settings): opens the databases, hangs the doors; the whole wiring on one screen."""

import atexit
import logging
from pathlib import Path

from flask import Flask

from anomify import config
from anomify.auth import middleware
from anomify.config import Settings
from anomify.dashboard import (
    account,
    alert_page,
    forgotten,
    inbox,
    invitation,
    metric_page,
    metrics_page,
    muting,
    set_up,
    sign_in,
    sign_in_elsewhere,
    sign_up,
)
from anomify.db import Database
from anomify.edge import porch
from anomify.edge.contract import check_declared
from anomify.edge.house import House
from anomify.edge.problem import answer_problems_under
from anomify.exclusion.assigning import excluder_of
from anomify.ingest import flux, page_events, prometheus
from anomify.metric.mixed import refuse_mixed
from anomify.metric.opening import open_points
from anomify.metric.registry import Registry
from anomify.native import (
    anomaly,
    billing,
    doc,
    exclusion,
    image,
    js,
    login,
    metric,
    metric_ranking,
    metric_settings,
    metric_summary,
    misc,
    operators,
    org,
    org_alert,
    org_audit,
    org_departure,
    org_event,
    org_overview,
    org_quota,
    org_stripecallback,
    org_testmetrics,
    org_token,
    org_user,
    ping,
    signup,
    signup_invitation,
    status,
    user,
    user_session,
    user_totp,
    watcher,
)

ROOT = Path(__file__).resolve().parent.parent


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application, its stores open. Raises ConfigError for settings that cannot be."""
    settings = (settings or config.load()).with_secret_key()
    logging.basicConfig(level=settings.log_level.upper())
    app = Flask(
        "anomify", template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static")
    )
    database = Database(settings.meta_url)
    points = open_points(database, settings.data_dir)
    refuse_mixed(database, points)
    registry = Registry(database, excluder_of)
    house = House(settings, database, points, registry)

    def follow() -> None:
        house.refused.flush()
        registry.follow_deleted()

    points.start_following(follow)
    atexit.register(points.close)
    atexit.register(house.refused.flush)
    porch.install(app, house)
    middleware.install(app, house)
    for door in (
        flux.flux,
        prometheus.prometheus,
        page_events.door,
        anomaly.door,
        billing.door,
        doc.door,
        exclusion.door,
        image.door,
        js.door,
        login.door,
        metric.door,
        metric_ranking.door,
        metric_summary.door,
        misc.door,
        metric_settings.door,
        operators.door,
        org.door,
        org_alert.door,
        org_audit.door,
        org_departure.door,
        org_event.door,
        org_overview.door,
        org_stripecallback.door,
        org_quota.door,
        org_testmetrics.door,
        org_token.door,
        org_user.door,
        signup_invitation.door,
        ping.door,
        signup.door,
        status.door,
        user.door,
        user_session.door,
        user_totp.door,
        watcher.door,
        account.door,
        forgotten.door,
        inbox.door,
        metric_page.door,
        metrics_page.door,
        alert_page.door,
        muting.door,
        invitation.door,
        set_up.door,
        sign_in.door,
        sign_in_elsewhere.door,
        sign_up.door,
    ):
        app.register_blueprint(door)
    # Unknown addresses answer in the dialect of their neighbours.
    answer_problems_under(app, "/flux/", flux.flux)
    answer_problems_under(app, "/api/v1/", prometheus.prometheus)
    check_declared(app)
    return app
