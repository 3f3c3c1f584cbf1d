import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pydantic import SecretStr

from anomify.anomaly.charts import anomaly_image_url, metric_image_url
from anomify.anomaly.queries import get_anomaly
from anomify.anomaly.render_pool import RenderPool
from anomify.auth import middleware
from anomify.clock import now
from anomify.config import Settings
from anomify.edge import install as edge_install
from anomify.edge.app_state import AppState
from anomify.edge.contract import check_declared
from anomify.metric.model import Metric
from anomify.metric.open_store import open_points
from anomify.metric.registry import Registry
from anomify.metric.store import PointStore
from anomify.native import image, picture
from anomify.native.metric.blueprints import metric_blueprints
from anomify.org.model import Org
from anomify.org.token import create_token
from tests.kit.found import HOUR, MINUTE, NOON, anomaly_at, give_points, org_with_metric

NAME = "web.requests"


@dataclass
class World:
    """Acme with a metric and an anomaly, Globex without, and keys of both."""

    client: FlaskClient
    store: PointStore
    acme: Org
    metrics: Metric
    anomaly_id: int
    anomaly_url: str
    metric_url: str
    acme_key: str
    ingest_key: str
    globex_key: str

    def get(self, path, key=None, **parameters):
        headers = {"X-Auth-Token": key} if key else {}
        return self.client.get(path, query_string=parameters, headers=headers)


@pytest.fixture
def world(database, tmp_path) -> Iterator[World]:
    settings = Settings(
        data_dir=tmp_path, secret_key=SecretStr("k" * 32), public_url="http://localhost"
    )
    store = open_points(database, tmp_path)
    app = Flask("anomify")
    app_state = AppState(settings, database, store, Registry(database))
    edge_install.install(app, app_state)
    middleware.install(app, app_state)
    app.register_blueprint(image.blueprint)
    for blueprint in metric_blueprints():
        app.register_blueprint(blueprint)
    check_declared(app)
    with database.unit_of_work():
        acme, requests = org_with_metric("Acme", NAME)
        globex, _ = org_with_metric("Globex", "other")
        span = anomaly_at(requests, NOON, NOON + 5 * MINUTE)
        anomaly = get_anomaly(acme.id, span.anomaly_id)
        keys = [
            create_token(org, "test", [scope], "Alice")[1]
            for org, scope in ((acme, "read"), (acme, "ingest"), (globex, "read"))
        ]
    give_points(store, requests, NOON - HOUR, [5.0, 6.0, 7.0, 6.0] * 30)
    yield World(
        app.test_client(),
        store,
        acme,
        requests,
        anomaly.id,
        anomaly_image_url(settings, acme, anomaly),
        metric_image_url(settings, acme, requests, NOON - HOUR, NOON + HOUR),
        *keys,
    )
    store.close()


def size_of(reply):
    return Image.open(io.BytesIO(reply.data)).size


def window(**more):
    return {"metric": NAME, "from": (NOON - HOUR) // 1000, "until": NOON // 1000, **more}


class TestMetric:
    def test_draws_a_png_for_a_reader_of_the_org(self, world):
        reply = world.get("/image/metric", world.acme_key, **window())
        assert reply.status_code == 200
        assert reply.mimetype == "image/png"
        assert size_of(reply) == (800, 300)

    def test_shows_the_last_day_by_default(self, world):
        reply = world.get("/image/metric", world.acme_key, metric=NAME)
        assert reply.status_code == 200
        assert "max-age=30" in reply.headers["Cache-Control"]

    def test_draws_in_the_requested_size(self, world):
        reply = world.get(
            "/image/metric", world.acme_key, **window(width=390, height=200, scale=2, theme="dark")
        )
        assert size_of(reply) == (780, 400)

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"width": 5_000}, "width"),
            ({"height": 20}, "height"),
            ({"width": 1_500, "scale": 2}, "width"),
            ({"theme": "pink"}, "theme"),
            ({"from": NOON // 1000, "until": NOON // 1000 + 10**9}, "from"),
        ],
    )
    def test_refuses_what_cannot_be_drawn(self, world, parameters, field):
        reply = world.get("/image/metric", world.acme_key, **(window() | parameters))
        assert reply.status_code == 400
        assert field in reply.json["status"]["error"]["fields"]

    def test_accepts_the_side_of_an_axis_as_true(self, world):
        def etag(**more):
            reply = world.get("/image/metric", world.acme_key, **window(**more))
            assert reply.status_code == 200, more
            return reply.headers["ETag"]

        shown = etag()
        for axis, side in (("display_x_axis", "below"), ("display_y_axis", "right")):
            assert etag(**{axis: side}) == etag(**{axis: "true"}) == shown
            assert etag(**{axis: "false"}) != shown
            reply = world.get("/image/metric", world.acme_key, **window(**{axis: "above"}))
            fields = reply.json["status"]["error"]["fields"]
            wanted = f"One of these is needed: '{side}'."
            assert (reply.status_code, fields) in [
                (400, {axis: f"True or false is needed. Or: {wanted}"}),
                (400, {axis: f"{wanted} Or: True or false is needed."}),
            ]

    def test_refuses_anonymous_callers_and_other_orgs(self, world):
        assert world.get("/image/metric", **window()).status_code == 401
        assert world.get("/image/metric", world.globex_key, **window()).status_code == 404
        assert world.get("/image/metric", world.ingest_key, **window()).status_code == 403

    def test_answers_304_to_a_client_with_the_etag(self, world):
        first = world.get("/image/metric", world.acme_key, **window())
        headers = {"X-Auth-Token": world.acme_key, "If-None-Match": first.headers["ETag"]}
        again = world.client.get("/image/metric", query_string=window(), headers=headers)
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        give_points(world.store, world.metrics, NOON - HOUR, [50.0])
        changed = world.client.get("/image/metric", query_string=window(), headers=headers)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != first.headers["ETag"]

    def test_is_the_same_picture_as_the_metrics_graph(self, world):
        of_image = world.get("/image/metric", world.acme_key, **window())
        of_metric = world.get(f"/metric/{NAME}/graph", world.acme_key, **window())
        assert of_image.data == of_metric.data

    def test_answers_503_with_a_notice_when_too_busy(self, world, monkeypatch):
        render_pool = RenderPool(slots=1, wait_seconds=0.01)
        monkeypatch.setattr(picture, "render_pool", render_pool)
        with render_pool.slot():
            reply = world.get("/image/metric", world.acme_key, **window())
        assert reply.status_code == 503
        assert reply.mimetype == "image/png"
        assert size_of(reply) == (400, 120)
        assert reply.headers["Cache-Control"] == "no-store"
        assert "Retry-After" in reply.headers


class TestAnomaly:
    def test_is_found_by_its_id_or_by_metric_and_moment(self, world):
        by_id = world.get("/image/anomaly", world.acme_key, anomaly_id=world.anomaly_id)
        moment = NOON // 1000 + 120
        by_moment = world.get("/image/anomaly", world.acme_key, metric=NAME, timestamp=moment)
        assert by_id.status_code == by_moment.status_code == 200
        assert by_id.data == by_moment.data
        assert by_id.headers["Cross-Origin-Resource-Policy"] == "same-origin"

    def test_may_be_cached_for_a_day_once_it_has_ended(self, world):
        reply = world.get("/image/anomaly", world.acme_key, anomaly_id=world.anomaly_id)
        assert reply.headers["Cache-Control"] == "private, max-age=86400"

    def test_has_to_be_named(self, world):
        assert world.get("/image/anomaly", world.acme_key).status_code == 400
        assert world.get("/image/anomaly", world.acme_key, metric=NAME).status_code == 400

    def test_of_another_org_is_not_found(self, world):
        reply = world.get("/image/anomaly", world.globex_key, anomaly_id=world.anomaly_id)
        assert reply.status_code == 404


class TestSignedLink:
    def test_shows_its_picture_without_a_session(self, world):
        for url in (world.anomaly_url, world.metric_url):
            reply = world.client.get(url)
            assert reply.status_code == 200
            assert size_of(reply) == (800, 300)
            assert "Set-Cookie" not in reply.headers
            assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"

    def test_is_refused_with_any_parameter_changed_added_or_left_out(self, world):
        for url in (world.anomaly_url, world.metric_url):
            parts = urlsplit(url)
            query = dict(parse_qsl(parts.query))
            changed = [query | {name: f"{value}1"} for name, value in query.items()]
            fewer = [{n: v for n, v in query.items() if n != name} for name in query]
            added = [query | {"width": "900"}, query | {"theme": "dark"}, query | {"x": "y"}]
            for parameters in [*changed, *fewer, *added]:
                reply = world.client.get(f"{parts.path}?{urlencode(parameters)}")
                wanted = {403} if "sig" in parameters else {401}
                assert reply.status_code in wanted, parameters

    def test_gives_no_access_to_other_routes(self, world):
        query = urlsplit(world.anomaly_url).query
        assert world.client.get(f"/image/metric?{query}").status_code == 403

    def test_refuses_a_body(self, world):
        reply = world.client.post(world.anomaly_url, data={"width": "900"})
        assert reply.status_code == 403
        assert world.client.post(world.anomaly_url).status_code == 200

    def test_expires_after_a_week(self, world):
        with time_machine.travel(now() + timedelta(days=7, hours=1), tick=False):
            assert world.client.get(world.anomaly_url).status_code == 403

    def test_ignores_a_token_in_the_request(self, world):
        reply = world.client.get(world.anomaly_url, headers={"X-Auth-Token": world.globex_key})
        assert reply.status_code == 200

    def test_of_a_name_with_every_kind_of_character_works(self, world):
        strange = 'up{job="a&b=c d+e/%温度"}'
        settings = Settings(secret_key=SecretStr("k" * 32), public_url="http://localhost")
        unknown = Metric(org_id=world.metrics.org_id, name=strange)
        url = metric_image_url(settings, world.acme, unknown, NOON - HOUR, NOON)
        # The signature holds; there just is no such metric.
        assert world.client.get(url).status_code == 404
