"""/exclusion over HTTP: access, what is reported before and after, and what the metrics show."""

from datetime import timedelta

import pytest

from anomify.clock import now
from anomify.native import exclusion
from anomify.native.metric.blueprints import metric_blueprints
from tests.factories import make_cast, make_metric
from tests.kit.web import error, make_app, strict

NAMES = ("staging.a", "staging.b", "prod.a")


@pytest.fixture
def cast(database):
    with database.unit_of_work():
        found = make_cast()
        for name in NAMES:
            make_metric(found.acme, name)
    return found


@pytest.fixture
def client(cast, database, tmp_path):
    app = make_app(database, tmp_path, [exclusion.blueprint, *metric_blueprints()])
    yield app.test_client(use_cookies=False)
    app.extensions["anomify"].points.close()


@pytest.fixture
def ask(client, cast):
    def requested(path, who="alice", status=200, **sent):
        reply = client.post(path, headers=cast.headers(who), json=sent)
        assert reply.status_code == status, reply.text
        return strict(reply)["data"] if status == 200 else error(reply)

    return requested


class TestTypes:
    def test_have_descriptions_and_examples(self, ask):
        types = ask("/exclusion/types", who="dave")["types"]
        assert [one["id"] for one in types] == ["exact", "prefix", "contains", "regex", "label"]
        for one in types:
            found = ask("/exclusion/test", type=one["id"], pattern=one["example"])
            assert found["pattern"] == one["example"]


class TestTest:
    def test_returns_what_would_match_and_stores_nothing(self, ask):
        found = ask("/exclusion/test", who="dave", type="prefix", pattern="staging.", sample=1)
        assert found == {
            "type": "prefix",
            "pattern": "staging.",
            "matched": ["staging.a"],
            "matched_count": 2,
            "total_metrics": 3,
            "quota_freed": 2,
        }
        assert ask("/exclusion/list") == {"exclusions": [], "total": 0}
        assert ask("/metrics", state="excluded")["total"] == 0

    def test_shows_nothing_of_another_org(self, ask):
        found = ask("/exclusion/test", who="charlie", type="regex", pattern=".")
        assert (found["matched"], found["matched_count"], found["total_metrics"]) == ([], 0, 0)

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({"type": "regex", "pattern": "("}, "pattern"),
            ({"type": "label", "pattern": "staging"}, "pattern"),
            ({"type": "glob", "pattern": "a*"}, "type"),
            ({"type": "prefix", "pattern": "a" * 513}, "pattern"),
            ({"type": "prefix"}, "pattern"),
        ],
    )
    def test_refuses_invalid_rules(self, ask, sent, field):
        assert set(ask("/exclusion/test", status=400, **sent)["fields"]) == {field}
        assert set(ask("/exclusion/add", status=400, **sent)["fields"]) == {field}


class TestAdd:
    def test_excludes_metrics_from_then_on_in_every_reply(self, ask):
        ends = int((now() + timedelta(days=1)).timestamp())
        made = ask(
            "/exclusion/add", type="prefix", pattern="staging.", reason="tests", expires=ends
        )["exclusion"]
        assert (made["type"], made["pattern"], made["expires"]) == ("prefix", "staging.", ends)
        assert (made["created_by"], made["metrics_matched"]) == ("Alice", 2)
        assert ask("/exclusion/list", who="dave") == {"exclusions": [made], "total": 1}
        listed = ask("/metrics", state="excluded")["metrics"]
        assert [one["metric"] for one in listed] == ["staging.a", "staging.b"]
        for one in (*listed, ask("/metric/staging.a")["metric"]):
            assert one["state"] == "excluded"
            assert "by the rule prefix staging. (tests)" in one["state_sentence"]
            assert one["excluded_by"]["id"] == made["id"]
            assert one["excluded_by"]["expires"] == ends
        assert ask("/metric/prod.a")["metric"]["excluded_by"] is None
        assert [one["metric"] for one in ask("/metrics", state="live")["metrics"]] == ["prod.a"]

    def test_refuses_the_same_rule_twice(self, ask):
        ask("/exclusion/add", type="prefix", pattern="staging.")
        data = ask("/exclusion/add", status=409, type="prefix", pattern="staging.")
        assert "already" in data["message"]
        # It would hit the same metrics.
        data = ask("/exclusion/add", status=409, type="prefix", pattern="STAGING.")
        assert "prefix staging. already" in data["message"]

    def test_refuses_an_end_in_the_past(self, ask):
        data = ask("/exclusion/add", status=400, type="prefix", pattern="a", expires=1)
        assert set(data["fields"]) == {"expires"}

    @pytest.mark.parametrize("who", ["bob", "dave"])
    def test_is_for_admins(self, ask, who):
        ask("/exclusion/add", who=who, status=403, type="prefix", pattern="a")
        ask("/exclusion/delete", who=who, status=403, exclusion_id=1)
        assert ask("/exclusion/list", who=who)["total"] == 0


class TestDelete:
    def test_includes_the_metrics_again(self, ask):
        made = ask("/exclusion/add", type="prefix", pattern="staging.")["exclusion"]
        assert ask("/exclusion/delete", exclusion_id=made["id"]) == {"deleted": True}
        assert ask("/metric/staging.a")["metric"]["state"] == "waiting"
        assert ask("/exclusion/list")["total"] == 0
        ask("/exclusion/delete", status=404, exclusion_id=made["id"])

    def test_does_not_find_a_rule_of_another_org(self, ask):
        made = ask("/exclusion/add", type="prefix", pattern="staging.")["exclusion"]
        foreign = ask("/exclusion/delete", who="charlie", status=404, exclusion_id=made["id"])
        unknown = ask("/exclusion/delete", who="charlie", status=404, exclusion_id=999_999)
        assert foreign == unknown
