"""/billing and Stripe's events: the callback, unpaid bills, and the life of a subscription."""

from datetime import timedelta

import pytest

from anomify.auth.token import VERIFIED_KEY
from anomify.clock import now, now_timestamp
from anomify.org.model import Org
from anomify.org.token import TokensEnded
from tests.factories import make_token
from tests.kit.stripe_account import Failure
from tests.kit.stripe_server import body_of
from tests.kit.web import error, strict


class TestStripecallback:
    def test_is_also_at_the_alias(self, shop):
        page = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        shop.wire.pay(page)
        for event in shop.wire.take_events():
            assert shop.deliver(event, "/billing/checkoutcallback").status_code == 200
        assert shop.quota() == 5

    def test_refuses_a_wrong_signature(self, shop):
        page = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        shop.wire.pay(page)
        event = shop.wire.take_events()[-1]
        for signing in ({"secret": "whsec_other"}, {"at": now_timestamp() + 3600}):
            reply = shop.deliver(event, **signing)
            assert (reply.status_code, error(reply)["code"]) == (400, "bad_signature")
        assert shop.client.post("/org/stripecallback", data=body_of(event)).status_code == 400
        reply = shop.deliver({**event, "livemode": True})
        assert (reply.status_code, error(reply)["code"]) == (409, "wrong_mode")
        assert shop.quota() is None

    def test_does_not_use_the_metadata_of_an_event(self, shop):
        bought = shop.buy(shop.small)
        globex = str(shop.cast.globex.id)
        subscription = shop.wire.things[bought]
        subscription["metadata"] = {"org_id": globex}
        data = shop.wire.tell("customer.subscription.updated", subscription)
        data["data"]["object"]["client_reference_id"] = globex
        data["data"]["object"]["items"]["data"] = []
        shop.deliver_events()
        assert (shop.quota(), shop.quota(shop.cast.globex)) == (5, None)

    def test_answers_502_when_stripe_cannot_be_read(self, shop):
        page = shop.data("getcheckoutsession", plan_id=shop.small)["session_id"]
        shop.wire.pay(page)
        event = shop.wire.take_events()[-1]
        shop.wire.fail("/v1/subscriptions", Failure(500), times=3)
        assert shop.deliver(event).status_code == 502
        assert shop.deliver(event).status_code == 200
        assert shop.quota() == 5


class TestUnpaidBill:
    def send(self, shop, token, metric):
        return shop.client.post(
            "/flux/metric_data_post",
            json={"key": token, "metrics": [self.point(metric)]},
        )

    def point(self, metric):
        return {"metric": metric, "timestamp": now_timestamp(), "value": 1}

    @pytest.mark.parametrize(
        ("days", "state", "statuses"),
        [
            (1, "overdue", (204, 204, 200)),
            (15, "no_new_metrics", (204, 400, 200)),
            (31, "read_only", (403, 403, 403)),
        ],
    )
    def test_refuses_new_metrics_and_later_all_writing(self, shop, database, days, state, statuses):
        shop.buy(shop.small)
        with database.unit_of_work():
            _, token = make_token(shop.cast.acme, "ingest")
        assert self.send(shop, token, "known").status_code == 204
        with database.unit_of_work() as session:
            session.get(Org, shop.cast.acme.id).overdue_since = now() - timedelta(days=days)
        # Which token is whose is remembered for half a minute.
        verified = shop.client.application.extensions[VERIFIED_KEY]
        verified.take_notice(TokensEnded(shop.cast.acme.id))
        known = self.send(shop, token, "known").status_code
        fresh = self.send(shop, token, "fresh").status_code
        watched = shop.client.post(
            "/watcher/create",
            json={"name": "Load", "chips": ["load"]},
            headers=shop.cast.headers("alice"),
        ).status_code
        assert (known, fresh, watched) == statuses
        data = strict(shop.client.get("/org/info", headers=shop.cast.headers("dave")))
        assert data["data"]["org"]["debt"]["state"] == state
        assert data["data"]["org"]["debt"]["message"].startswith("A bill of ")
        # An org that owes can pay.
        shop.data("getportalsession")


class TestLifeCycle:
    """From the free plan to a larger one and back, with points sent in between."""

    def test_of_an_org_with_billing(self, shop, database):
        with database.unit_of_work() as session:
            session.get(Org, shop.cast.acme.id).metric_quota = 3
            _, token = make_token(shop.cast.acme, "ingest")

        def send(*names):
            points = [{"metric": n, "timestamp": now_timestamp(), "value": 1} for n in names]
            reply = shop.client.post(
                "/flux/metric_data_post", json={"key": token, "metrics": points}
            )
            rejected = strict(reply)["rejected"] if reply.status_code == 207 else []
            return reply.status_code, [item["metric"] for item in rejected]

        assert send("a", "b", "c", "d") == (207, ["d"])
        bought = shop.buy(shop.small)
        assert send("a", "d", "e", "f") == (207, ["f"])
        assert shop.data("change", plan_id="free")["metrics_over"] == 2
        shop.data("change", plan_id="free", dry_run=False)
        shop.deliver_events()
        assert shop.data("plans")["plan_id"] == shop.small
        shop.wire.end_period(bought)
        shop.deliver_events()
        data = shop.data("history")["plan"]
        assert (data["id"], data["status"], data["metric_quota"]) == ("free", "canceled", 3)
        # Everything that is known goes on; nothing is deleted.
        assert send("a", "b", "c", "d", "e") == (204, [])
        assert send("a", "f") == (207, ["f"])
        shop.buy(shop.large)
        assert send("a", "f") == (204, [])
