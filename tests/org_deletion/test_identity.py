"""Tokens and links of a deleted org give no access to a later org."""

from datetime import timedelta

import pytest
import time_machine

from anomify.anomaly.charts import anomaly_image_url, metric_image_url
from anomify.clock import now
from anomify.db import session
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.org.token import create_token, revoke_token, rotate_token
from anomify.org_deletion.delete_org import delete_org
from tests.factories import make_anomaly, make_cast, make_metric, make_org, make_user
from tests.kit.whole_app import whole_app

INGEST = ("/flux/metric_data_post", "/api/v1/write")


@pytest.fixture
def app(migrated_url, tmp_path):
    with whole_app(
        migrated_url, tmp_path, public_url="http://localhost", rate_limits=("off",)
    ) as made:
        yield made


@pytest.fixture
def cast(app_state):
    with app_state.database.unit_of_work():
        return make_cast()


def send(client, token, name="cpu.load"):
    """Statuses of sending a point with a token by the native route, and a page's event."""
    point = {"metric": name, "timestamp": int(now().timestamp()), "value": 1}
    sent = client.post(
        "/flux/metric_data_post", json=point, headers={"Authorization": f"Bearer {token}"}
    )
    return sent.status_code


def new_token(app_state, org, *scopes):
    with app_state.database.unit_of_work():
        return create_token(session().get_one(Org, org.id), "agent", scopes or ["ingest"], "Al")


class TestTokens:
    def test_of_a_deleted_org_are_refused_at_once(self, app_state, client):
        with app_state.database.unit_of_work():
            last = make_org("Initech")
            token = create_token(last, "agent", ["ingest"], "Al")[1]
        assert send(client, token) == 204
        with app_state.database.unit_of_work():
            delete_org(session().get_one(Org, last.id))
        with app_state.database.unit_of_work():
            following = make_org("Umbrella")
        assert (following.id > last.id, following.uuid != last.uuid) == (True, True)
        assert send(client, token) == 401
        assert send(client, token, "new.name") == 401
        with app_state.database.unit_of_work(write=False):
            assert session().query(Metric).filter_by(org_id=following.id).all() == []

    def test_revoked_tokens_are_refused_by_ingestion_at_once(self, app_state, client, cast):
        row, token = new_token(app_state, cast.acme)
        _, other = new_token(app_state, cast.acme)
        assert (send(client, token), send(client, other)) == (204, 204)
        reply = client.post(
            "/org/tokens/revoke", data={"token_id": row.id}, headers=cast.headers("alice")
        )
        assert reply.status_code == 200
        assert (send(client, token), send(client, other)) == (401, 204)

    def test_of_web_pages_are_refused_too(self, app_state, client, cast):
        row, key = new_token(app_state, cast.acme, "events")
        event = {"key": key, "site": "shop", "events": [{"name": "click"}]}
        assert client.post("/flux/events", json=event).status_code < 300
        with app_state.database.unit_of_work():
            revoke_token(session().get_one(Org, cast.acme.id), row.id, "Al")
        assert client.post("/flux/events", json=event).status_code == 401

    def test_stay_valid_when_the_revocation_fails(self, app_state, client, cast):
        row, token = new_token(app_state, cast.acme)
        assert send(client, token) == 204
        with pytest.raises(ZeroDivisionError), app_state.database.unit_of_work():
            revoke_token(session().get_one(Org, cast.acme.id), row.id, "Al")
            raise ZeroDivisionError
        assert send(client, token) == 204

    def test_expire_on_time_although_they_are_cached(self, app_state, client, cast):
        row, token = new_token(app_state, cast.acme)
        with app_state.database.unit_of_work():
            rotate_token(session().get_one(Org, cast.acme.id), row.id, "Al")
        assert send(client, token) == 204
        with time_machine.travel(now() + timedelta(hours=24), tick=False):
            assert send(client, token) == 401


class TestPictures:
    def test_of_a_deleted_org_are_refused(self, app_state, client):
        with app_state.database.unit_of_work():
            last = make_org("Initech")
            metric = make_metric(last, "load")
            anomaly = make_anomaly(metric)
            urls = [
                anomaly_image_url(app_state.settings, last, anomaly),
                metric_image_url(app_state.settings, last, metric, 0, 3_600_000),
            ]
        assert [client.get(url).status_code for url in urls] == [200, 200]
        with app_state.database.unit_of_work():
            delete_org(session().get_one(Org, last.id))
            # Even if the number came back, as it does when a copy of the database is put back.
            following = make_org("Umbrella", id=last.id)
            make_user(following)
            make_anomaly(make_metric(following, "load", id=metric.id), anomaly_id=anomaly.id)
        assert [client.get(url).status_code for url in urls] == [403, 403]
