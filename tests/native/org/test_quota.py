"""Metrics that count against the quota, and deleting them."""

from datetime import timedelta

import pytest

from anomify.clock import now, now_ms
from anomify.db import session
from anomify.exclusion.editing import ExclusionFields, add_exclusion
from anomify.exclusion.predicate import ExclusionKind
from anomify.metric.model import Metric, Progress
from anomify.native.metric.blueprints import metric_blueprints
from anomify.native.org import quota as org_quota
from tests.factories import make_anomaly, make_cast, make_metric
from tests.kit.web import error, make_app, strict

NAMES = ("ci.1.duration", "ci.2.duration", "ci.2.errors", "shop.orders")


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        found = make_cast()
        found.acme.metric_quota = 5
        for name in NAMES:
            make_metric(found.acme, name)
        make_metric(found.acme, "staging.a")
        add_exclusion(found.acme.id, ExclusionFields(ExclusionKind.PREFIX, "staging."), "Alice")
    return found


@pytest.fixture
def app(cast, database, tmp_path):
    made = make_app(database, tmp_path, [org_quota.blueprint, *metric_blueprints()])
    yield made
    made.extensions["anomify"].points.close()


@pytest.fixture
def ask(app, cast):
    client = app.test_client(use_cookies=False)

    def requested(path, who="alice", status=200, **sent):
        reply = client.post(path, headers=cast.headers(who), json=sent)
        assert reply.status_code == status, reply.text
        return strict(reply)["data"] if status == 200 else error(reply)

    return requested


def named(found):
    return [one["name"] for one in found["metrics"]]


class TestGetQuotaMetrics:
    def test_lists_counted_metrics_and_the_quota(self, ask):
        found = ask("/org/getquotametrics", who="dave")
        assert named(found) == list(NAMES)
        assert (found["used"], found["quota"], found["excluded"], found["total"]) == (4, 5, 1, 4)
        page = ask("/org/getquotametrics", q="CI.2", limit=1, offset=1)
        assert (named(page), page["total"], page["used"]) == (["ci.2.errors"], 2, 4)

    def test_returns_when_a_metric_was_created_and_last_seen(self, ask, database, cast):
        with database.unit_of_work():
            rest = {
                "points_seen": 200,
                "last_value": 1.0,
                "resolution_ms": 60_000,
                "learning_points": 100,
                "stale_after_ms": 300_000,
            }
            for name, silent_ms in (("a.fresh", 0), ("a.stale", 86_400_000)):
                made = make_metric(cast.acme, name, created_at=now() - timedelta(days=2))
                last_point_ms = now_ms() // 1000 * 1000 - silent_ms
                session().add(Progress(metric_id=made.id, judged_until_ms=last_point_ms, **rest))
        [stale] = ask("/org/getquotametrics", stale_only=True)["metrics"]
        assert stale["name"] == "a.stale"
        assert stale["last_seen"] - stale["first_seen"] == pytest.approx(86_400, abs=5)
        assert ask("/org/getquotametrics", limit=1)["metrics"][0]["name"] == "a.fresh"
        assert ask("/org/getquotametrics", q="shop")["metrics"][0]["last_seen"] is None

    def test_shows_nothing_of_another_org(self, ask):
        found = ask("/org/getquotametrics", who="charlie")
        assert (found["metrics"], found["used"], found["quota"]) == ([], 0, None)


class TestRemoveQuotaMetrics:
    @pytest.mark.parametrize(
        ("sent", "picked"),
        [
            ({"patterns": ["ci.*.duration"]}, ["ci.1.duration", "ci.2.duration"]),
            ({"patterns": ["*2*"]}, ["ci.2.duration", "ci.2.errors"]),
            ({"patterns": ["ci.2.errors"]}, ["ci.2.errors"]),
            ({"patterns": ["ci"]}, []),
            ({"patterns": ["shop.*shop.orders"]}, []),
            ({"metrics": ["shop.orders", "unknown", "a}"]}, ["shop.orders"]),
            ({"metrics": ["ci.2.errors"], "patterns": ["sta*"]}, ["ci.2.errors", "staging.a"]),
        ],
    )
    def test_is_a_dry_run_by_default(self, ask, sent, picked):
        found = ask("/org/removequotametrics", **sent)
        assert (found["removed"], found["count"], found["dry_run"]) == (picked, len(picked), True)
        assert (found["used"], found["excluded"]) == (4, 1)
        assert ask("/metrics")["total"] == 5

    def test_deletes_and_frees_the_quota_at_once(self, ask, app, cast, database, monkeypatch):
        # Three go in two parts.
        monkeypatch.setattr(org_quota, "REMOVED_AT_ONCE", 2)
        app_state = app.extensions["anomify"]
        keys = {name.encode(): name for name in (*NAMES, "new.1", "new.2")}
        before = app_state.registry.register(cast.acme.id, keys)
        assert sorted(before.refused) == [b"new.2"]
        with database.unit_of_work():
            metric_id = before.ids[b"ci.1.duration"]
            make_anomaly(session().get_one(Metric, metric_id))
        found = ask("/org/removequotametrics", patterns=["ci.*"], dry_run=False)
        assert (found["count"], found["used"], found["dry_run"]) == (3, 2, False)
        assert ask("/metrics")["total"] == 3
        after = app_state.registry.register(cast.acme.id, keys)
        assert len(after.refused) == 1
        # A metric that comes back is another one.
        assert after.ids[b"ci.1.duration"] != metric_id

    @pytest.mark.parametrize(
        "sent", [{}, {"patterns": ["*"]}, {"patterns": [""]}, {"patterns": ["a"] * 51}]
    )
    def test_refuses_missing_empty_and_too_broad_patterns(self, ask, sent):
        ask("/org/removequotametrics", status=400, dry_run=False, **sent)
        assert ask("/metrics")["total"] == 5

    def test_is_for_admins_and_their_own_org(self, ask):
        for who in ("bob", "dave"):
            ask("/org/removequotametrics", who=who, status=403, patterns=["ci.*"])
        found = ask(
            "/org/removequotametrics", who="charlie", metrics=["shop.orders"], dry_run=False
        )
        assert (found["removed"], found["count"]) == ([], 0)
        assert ask("/metrics")["total"] == 5
