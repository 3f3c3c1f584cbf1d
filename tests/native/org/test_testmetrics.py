"""/org/testmetrics returns what a test submission would have stored and refused."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.ingest import flux
from anomify.metric.dry_run import SERVERS_MAX, DryRunReport, delete_old_dry_runs, save_dry_run
from anomify.native.org import testmetrics as org_testmetrics
from tests.factories import make_cast, make_metric, make_token
from tests.kit.web import make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [flux.blueprint, org_testmetrics.blueprint])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        made = make_cast()
        make_metric(made.acme, "known")
        made.acme.metric_quota = 2
        return made


def submit(client, token, *names, **headers):
    items = [{"metric": name, "timestamp": 1_763_640_000, "value": 1} for name in names]
    sent = {"Authorization": f"Bearer {token}", **headers}
    reply = client.post("/flux/metric_data_post", json={"metrics": items}, headers=sent)
    assert reply.status_code == 200
    return reply


def shown(client, cast, name="dave", **query):
    reply = client.get("/org/testmetrics", headers=cast.headers(name), query_string=query)
    return strict(reply)["data"]


class TestTestmetrics:
    def test_returns_what_would_be_stored_and_refused_with_reasons(self, client, cast, database):
        with database.unit_of_work():
            _, token = make_token(cast.acme, "ingest")
        submit(client, token, "known", "new", "a\x00b", "over", **{"x-test-only": "true"})
        result = shown(client, cast)
        assert result["accepted"] == ["known", "new"]
        assert result["accepted_total"] == 2
        assert result["new"] == ["new"]
        assert [one["metric"] for one in result["dropped"]] == ["a\x00b", "over"]
        assert "limit of 2 metrics" in result["dropped"][1]["reason"]
        assert result["dropped_total"] == 2
        assert result["would_exceed_quota"] is True
        assert result["submitted_timestamp"] <= now().timestamp()
        assert shown(client, cast, "charlie")["submitted_timestamp"] is None

    def test_keeps_the_last_of_each_server(self, client, cast, database):
        with database.unit_of_work():
            _, token = make_token(cast.acme, "ingest")
        only = {"x-test-only": "true"}
        submit(client, token, "known", **only, **{"x-server-id": "web1"})
        submit(client, token, "known", "bad\x00", **only, **{"x-server-id": "web1"})
        submit(client, token, "known", **only, **{"x-server-id": "web2"})
        assert shown(client, cast, server_id="web1")["dropped_total"] == 1
        assert shown(client, cast, server_id="web2")["dropped_total"] == 0
        assert shown(client, cast)["server_id"] == "web2"
        assert shown(client, cast, server_id="web3")["submitted_timestamp"] is None

    def test_deletes_it_after_an_hour(self, client, cast, database):
        with database.unit_of_work():
            _, token = make_token(cast.acme, "ingest")
        submit(client, token, "known", **{"x-test-only": "true"})
        later = now() + timedelta(minutes=61)
        with database.unit_of_work():
            delete_old_dry_runs(later - timedelta(minutes=2))
        assert shown(client, cast)["accepted"] == ["known"]
        with database.unit_of_work():
            delete_old_dry_runs(later)
        assert shown(client, cast)["accepted"] == []

    def test_limits_the_number_of_servers(self, cast, database, client):
        empty = DryRunReport([], 0, [], [], 0, would_exceed_quota=False)
        at = now()
        with database.unit_of_work():
            for number in range(SERVERS_MAX + 2):
                moment = at - timedelta(seconds=SERVERS_MAX + 2 - number)
                save_dry_run(cast.acme.id, f"s{number}", empty, moment)
        assert shown(client, cast, server_id="s1")["submitted_timestamp"] is None
        assert shown(client, cast, server_id="s2")["submitted_timestamp"] is not None
