"""/-: routes for load balancers and operators."""

import pytest
from sqlalchemy import event

from anomify.errors import Unavailable
from anomify.native import operators
from anomify.storage.damaged_items import Kind
from tests.factories import make_cast, make_token
from tests.kit.web import make_app


@pytest.fixture
def app(database, tmp_path):
    app = make_app(database, tmp_path, [operators.blueprint])
    yield app
    app.extensions["anomify"].points.close()


@pytest.fixture
def client(app):
    return app.test_client()


class TestHealthy:
    def test_needs_no_database(self, client, database):
        requested = []
        event.listen(database.engine, "begin", lambda _connection: requested.append(1))
        reply = client.get("/-/healthy")
        assert (reply.status_code, reply.text) == (200, "healthy\n")
        assert "Set-Cookie" not in reply.headers
        assert requested == []

    def test_fails_when_the_thread_of_the_log_has_ended(self, app, client, monkeypatch):
        points = app.extensions["anomify"].points
        # As if the thread had ended by itself.
        monkeypatch.setattr(points, "_keep_following", lambda: None)
        points.start_following()
        points._follower.join()
        reply = client.get("/-/healthy")
        assert reply.status_code == 503
        assert "thread" in reply.text
        assert client.get("/-/ready").text == "not ready: log\n"


class TestReady:
    def test_is_ready_while_requests_can_be_answered(self, client):
        assert client.get("/-/ready").status_code == 200

    def test_names_the_missing_part(self, app, client, monkeypatch):
        def fail():
            raise Unavailable("the disk is gone")

        monkeypatch.setattr(app.extensions["anomify"].points.log, "last_offset", fail)
        reply = client.get("/-/ready")
        assert (reply.status_code, reply.text) == (503, "not ready: log\n")

    def test_reports_damaged_stored_data(self, app, client):
        points = app.extensions["anomify"].points
        points.chunks.damaged_items.add(Kind.CHUNK, 1, b"rubbish", "It is cut short.", metric_id=1)
        points.follow()
        reply = client.get("/-/ready")
        assert reply.status_code == 200
        assert reply.text.startswith("ready\nstorage: 1 stored pieces cannot be read and are")
        text = client.get("/-/metrics").text
        assert 'anomify_component_ok{component="storage"} 0.0' in text
        assert 'anomify_set_aside{kind="chunk"} 1.0' in text


class TestMetrics:
    def test_are_shown_to_this_machine(self, client):
        client.get("/-/healthy")
        text = client.get("/-/metrics").text
        assert 'anomify_component_ok{component="database"} 1.0' in text
        assert 'anomify_http_requests_total{code="200",route="operators.healthy"}' in text

    def test_are_shown_to_others_with_an_admins_token_only(self, client, database):
        with database.unit_of_work():
            acme = make_cast().acme
            _, admin = make_token(acme, "admin")
            _, read = make_token(acme, "read", "write", "ingest")
        for headers, status in (
            ({}, 403),
            ({"X-Auth-Token": "nonsense"}, 403),
            ({"X-Auth-Token": read}, 403),
            ({"X-Auth-Token": admin}, 200),
        ):
            elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
            reply = client.get("/-/metrics", headers=headers, environ_base=elsewhere)
            assert reply.status_code == status

    def test_are_not_shown_to_requests_through_a_proxy_on_this_machine(self, client):
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert client.get("/-/metrics", headers={name: "192.0.2.1"}).status_code == 403
