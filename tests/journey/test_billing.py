"""The real product and a Stripe of its own: paid for, grown, overdue, paid, cancelled."""

import json
import time

import pytest

from tests.kit.server import Server, running
from tests.kit.smtpsink import smtp_sink
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET
from tests.kit.stripe_server import body_of, signature_of, stripe_wire


@pytest.fixture
def wire():
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def sink():
    with smtp_sink() as opened:
        yield opened


@pytest.fixture
def server(tmp_path, wire, sink):
    settings = {
        "stripe_secret_key": SECRET_KEY,
        "stripe_webhook_secret": WEBHOOK_SECRET,
        "stripe_api_base": wire.url,
        "free_metrics": 2,
        "smtp_host": "127.0.0.1",
        "smtp_port": sink.port,
        "smtp_starttls": "false",
    }
    with running(Server(tmp_path / "data", settings=settings)) as started:
        yield started


class TestPaying:
    def test_lets_an_org_grow_and_shrink(self, server, wire, sink):
        server.cli("org", "create", "Acme", "--json")
        server.cli(
            *("user", "create", "--org", "Acme", "--email", "alice@acme.example"),
            *("--name", "Alice", "--role", "owner", "--password-stdin"),
            text="a long enough phrase for anybody\n",
        )
        made = ("token", "create", "--org", "Acme", "--name", "t", "--scopes", "ingest,read,admin")
        token = server.cli(*made, "--json")["token"]
        price = wire.make_price("Small", 4, 19_00)

        def hear():
            for event in wire.take_events():
                body = body_of(event)
                headers = {"Stripe-Signature": signature_of(body)}
                url = f"{server.url}/org/stripecallback"
                assert server.pool.request("POST", url, body=body, headers=headers).status == 200

        def send(*names):
            at = int(time.time())
            points = [{"metric": name, "timestamp": at, "value": 1} for name in names]
            reply = server.post("/flux/metric_data_post", token, {"metrics": points})
            rejected = json.loads(reply.data)["rejected"] if reply.status == 207 else []
            return reply.status, [item["metric"] for item in rejected]

        page = server.post("/billing/getcheckoutsession", token, {"plan_id": price})
        bought = wire.pay(page.json()["data"]["session_id"])["id"]
        hear()
        assert send("a", "b", "c", "d", "e") == (207, ["e"])

        wire.declined.add(wire.things[bought]["customer"])
        wire.end_period(bought)
        hear()
        server.wait_for(lambda: sink.recipients)
        assert sink.recipients == ["alice@acme.example"]
        assert "could not be collected" in sink.mails[0].get_content()
        assert server.data("/org/info", token)["org"]["debt"]["state"] == "overdue"
        wire.pay_open_bill(bought)
        hear()
        assert server.data("/org/info", token)["org"]["debt"]["state"] == "none"

        change = {"plan_id": "free", "dry_run": False}
        assert server.post("/billing/change", token, change).status == 200
        wire.end_period(bought)
        hear()
        assert send("a", "b", "c", "d", "e") == (207, ["e"])
        result = server.data("/billing/history", token)
        assert (result["plan"]["id"], result["plan"]["metric_quota"], result["total"]) == (
            "free",
            2,
            2,
        )
