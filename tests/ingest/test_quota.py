"""Fifty senders at once, over HTTP: never a metric over the quota, and every refusal named."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from anomify.db import session
from anomify.exclusion.editing import ExclusionFields, add_exclusion
from anomify.exclusion.predicate import ExclusionKind
from anomify.metric.quota import quota_of
from anomify.org.model import Org
from tests.kit.clock import LONG_AGO_SECONDS

SENDERS = 50
QUOTA = 137
AT = LONG_AGO_SECONDS


def wanted_by(sender: int) -> list[str]:
    """Some that everybody sends, some of his own, and some that a rule excludes."""
    shared = [f"shared.{number}" for number in range(sender % 7, sender % 7 + 8)]
    own = [f"own.{sender}.{number}" for number in range(4)]
    return [*shared, *own, f"staging.{sender}"]


def send(api, token, names):
    """Send until it was taken, as senders do; return the names that were refused."""
    body = json.dumps(
        {"metrics": [{"metric": name, "timestamp": AT, "value": 1.0} for name in names]}
    )
    # A client of its own: they are not made to be shared.
    client = api.app.test_client()
    for _ in range(100):
        reply = client.post(
            "/flux/metric_data_post", data=body, headers={"Authorization": f"Bearer {token}"}
        )
        if reply.status_code != 503:
            break
    if reply.status_code == 204:
        return []
    stored = reply.json["accepted"]
    assert reply.status_code == (207 if stored else 400), reply.text
    for refusal in reply.json["rejected"]:
        assert "limit of 137 metrics is reached" in refusal["reason"]
    refused = [refusal["metric"] for refusal in reply.json["rejected"]]
    assert reply.json["accepted"] == len(names) - len(refused)
    return refused


class TestFiftySenders:
    def test_never_exceed_the_quota_and_get_each_refused_metric_reported(self, api):
        org_id, token = api.make_org("Small", quota=QUOTA)
        with api.app_state.database.unit_of_work():
            add_exclusion(org_id, ExclusionFields(ExclusionKind.PREFIX, "staging."), "Alice")
        barrier = threading.Barrier(SENDERS)

        def send_at_once(sender):
            barrier.wait()
            return send(api, token, wanted_by(sender))

        with ThreadPoolExecutor(SENDERS) as pool:
            refused = list(pool.map(send_at_once, range(SENDERS)))
        there = set(api.names(org_id))
        counted = {name for name in there if not name.startswith("staging.")}
        assert len(counted) == QUOTA
        assert {f"staging.{sender}" for sender in range(SENDERS)} <= there
        for sender, names in enumerate(refused):
            assert len(names) == len(set(names))
            assert set(names) == set(wanted_by(sender)) - there
        assert [api.stored(name, org_id) for name in sorted(there)] == [
            [(AT * 1000, 1.0)] for _ in there
        ]
        # Known metrics are never refused, even while new ones are.
        assert send(api, token, sorted(there)) == []
        assert send(api, token, ["one.more"]) == ["one.more"]
        with api.app_state.database.unit_of_work(write=False):
            assert session().get_one(Org, org_id).metric_quota == QUOTA
            quota = quota_of(org_id)
        assert (quota.used, quota.kept_out) == (QUOTA, SENDERS)
