"""/pattern and /patterns over HTTP: the seed's fields, lists, points, picture, disable, enable."""

from anomify.clock import now_timestamp
from anomify.pattern.model import WouldHide
from tests.factories import make_anomaly, make_match, make_metric, make_pattern
from tests.kit.learning_api import LearningApi
from tests.kit.nights import NEXT
from tests.kit.web import error

# Fields marked [S] in the specification.
SEED_FIELDS = {
    *("id", "parent_id", "group_id", "creator_type", "creator_user_id"),
    *("creator_user_display_name", "metric_id", "metric_name", "duration", "duration_string"),
    *("anomaly_timestamp", "created_timestamp", "created_string", "enabled", "origin", "layers"),
    *("checks", "matches", "match_rate", "match_rate_string", "last_match_timestamp"),
    *("last_match_string", "label", "positive", "anomaly_id", "anomaly_value", "deletable"),
    "graph_url",
}


def planted(api: LearningApi, **more: object) -> int:
    """Return the id of a pattern with three matches; two were validated, one as invalid."""
    with api.app_state.database.unit_of_work():
        pattern = make_pattern(make_metric(api.cast.acme, "shop.orders"), checks=9, **more)
        for number, validated in enumerate((0, 1, 2)):
            make_match(
                pattern,
                started_at=pattern.created_at.replace(day=20 + number),
                validated=validated,
            )
        return pattern.id


class TestPattern:
    def test_has_the_fields_of_the_seed_and_its_quality(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        pattern = api.data(f"/pattern/{pattern_id}")["pattern"]
        assert set(pattern) >= SEED_FIELDS
        assert (pattern["match_rate"], pattern["match_rate_string"]) == ("33%", "33% (3/9)")
        assert (pattern["valid_matches"], pattern["invalid_matches"]) == (1, 1)
        assert (pattern["precision"], pattern["layers"]) == (0.5, False)
        assert (pattern["direction"], pattern["height"], pattern["length"]) == ("up", 20.0, 3600)
        assert pattern["duration_string"] == "24 hours"

    def test_that_never_matched_says_so(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            pattern_id = make_pattern(make_metric(api.cast.acme), value=50.0).id
        pattern = api.data(f"/pattern/{pattern_id}")["pattern"]
        assert (pattern["last_match_timestamp"], pattern["last_match_string"]) == (None, "never")
        assert (pattern["match_rate_string"], pattern["precision"]) == ("0% (0/0)", None)
        assert (pattern["direction"], pattern["height"]) == ("down", 40.0)

    def test_of_the_product_itself_is_by_anomify_ai(self, api: LearningApi) -> None:
        pattern_id = planted(api, creator_type="machine", created_by="Anomify", origin="learnt")
        pattern = api.data(f"/pattern/{pattern_id}")["pattern"]
        assert pattern["creator_user_display_name"] == "Anomify AI"
        assert (pattern["creator_type"], pattern["origin"]) == ("machine", "learnt")

    def test_answers_the_same_for_foreign_and_unknown_ids(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        for path in ("", "/timeseries", "/matches", "/anomalies", "/graph"):
            foreign = api.get(f"/pattern/{pattern_id}{path}", who="charlie")
            unknown = api.get(f"/pattern/987654{path}", who="charlie")
            assert foreign.status_code == unknown.status_code == 404, path
            assert error(foreign) == error(unknown)


class TestPoints:
    def test_are_those_of_the_window_as_judged(self, api: LearningApi) -> None:
        data = api.data(f"/pattern/{planted(api)}/timeseries")
        assert (data["resolution"], data["duration"]) == (60, 86_400)
        values = dict(map(tuple, data["timeseries"]))
        assert values[data["anomaly_from_timestamp"]] == 130.0
        assert values[data["anomaly_from_timestamp"] - 60] == 100.0
        assert (data["expected_range_lower"], data["expected_range_upper"]) == (90.0, 110.0)

    def test_are_drawn_also_by_a_signed_link(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        url = api.data(f"/pattern/{pattern_id}")["pattern"]["graph_url"]
        address = url[url.index("/pattern") :]
        picture = api.client.get(address)
        assert (picture.status_code, picture.mimetype) == (200, "image/png")
        for name in ("from=", "until=", "display_x_axis=below", "display_y_axis=right"):
            assert name in address
        assert api.client.get(address + "&width=900").status_code in {401, 403}
        assert api.client.get(f"/pattern/{pattern_id}/graph").status_code == 401

    def test_are_given_as_numbers_on_request(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        numbers = api.data(f"/pattern/{pattern_id}/graph", format="json")
        assert numbers == api.data(f"/pattern/{pattern_id}/timeseries")
        reply = api.get(f"/pattern/{pattern_id}/graph", format="svg")
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {"format"})


class TestMatches:
    def test_are_those_of_the_last_thirty_days(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        data = api.data(f"/pattern/{pattern_id}/matches")
        assert data["total"] == 3
        moments = [match["timestamp"] for match in data["matches"]]
        assert moments == sorted(moments, reverse=True)
        old = {"from": 1, "until": moments[-1] - 1}
        assert api.data(f"/pattern/{pattern_id}/matches", **old)["total"] == 0


class TestPatterns:
    def test_lists_those_in_use_unless_others_are_requested(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            metric = make_metric(api.cast.acme, "shop.orders")
            ids = {
                state: make_pattern(metric, state=state).id
                for state in ("active", "disabled", "proposed", "retired")
            }
            ids["weekly"] = make_pattern(metric, duration_seconds=604_800, origin="learnt").id
            ids["positive"] = make_pattern(metric, positive=True).id
            make_pattern(make_metric(api.cast.globex, "theirs"))
            elsewhere = make_pattern(make_metric(api.cast.acme, "other")).id

        def names(path: str = "/metric/shop.orders/patterns", **query: object) -> set[str]:
            by_id = {number: name for name, number in ids.items()}
            return {by_id[one["id"]] for one in api.data(path, **query)["patterns"]}

        in_use = {"active", "weekly", "positive"}
        assert names() == in_use
        assert names(enabled="false") == {"disabled", "proposed", "retired"}
        assert names(status="proposed") == {"proposed"}
        assert names(status="all") == set(ids)
        assert names(duration="7d") == {"weekly"}
        assert names(origin="learnt") == {"weekly"}
        assert names(positive="true") == {"positive"}
        assert names("/patterns", metric="shop.orders") == in_use
        assert {one["id"] for one in api.data("/patterns")["patterns"]} == {
            elsewhere,
            *(ids[name] for name in in_use),
        }
        assert api.data("/patterns", limit=1)["total"] == 4
        assert len(api.data("/patterns", limit=1)["patterns"]) == 1

    def test_is_empty_without_patterns(self, api: LearningApi) -> None:
        assert api.data("/patterns") == {"patterns": [], "total": 0}
        assert api.data("/patterns/pending") == {"pending": [], "total": 0}

    def test_names_the_wrong_filter(self, api: LearningApi) -> None:
        for query in ({"duration": "1h"}, {"status": "deleted"}, {"origin": "found"}):
            reply = api.get("/patterns", **query)
            assert (reply.status_code, set(error(reply)["fields"])) == (400, set(query))


class TestDisable:
    def test_stops_matching_at_the_next_judged_point_and_enable_undoes_it(
        self, api: LearningApi
    ) -> None:
        nights, analyser, anomaly_id = api.with_anomaly()
        data = api.change("/anomaly/train", anomaly_id=anomaly_id, expected="true")
        first, *_ = data["patterns"]
        disabled = api.change(f"/pattern/{first['id']}/disable", reason="not any more")
        assert disabled["pattern"]["enabled"] is False
        assert disabled["pattern"]["status_reason"] == "not any more"
        assert {one["id"] for one in disabled["disabled_children"]} == {
            one["id"] for one in data["patterns"][1:]
        }
        again = api.post(f"/pattern/{first['id']}/disable")
        assert (again.status_code, error(again)["code"]) == (409, "not_enabled")
        enabled = api.change(f"/pattern/{first['id']}/enable")
        assert enabled["pattern"]["enabled"] is True
        assert len(enabled["enabled_children"]) == len(disabled["disabled_children"])
        again = api.post(f"/pattern/{first['id']}/enable")
        assert (again.status_code, error(again)["code"]) == (409, "not_disabled")
        api.change(f"/pattern/{first['id']}/disable")
        api.judge(nights, analyser, NEXT + 1)
        assert (len(nights.anomalies(NEXT)), nights.matches(NEXT)) == (1, [])

    def test_each_is_in_the_audit_trail(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        since = now_timestamp() - 60
        api.change(f"/pattern/{pattern_id}/disable", who="bob", reason="moved")
        api.change(f"/pattern/{pattern_id}/enable")
        entries = api.data("/org/audit", **{"from": since})["entries"]
        found = [(entry["actor"], entry["action"]) for entry in entries]
        assert found[:2] == [("Alice", "pattern.enable"), ("Bob", "pattern.disable")]

    def test_is_for_editors_of_the_org(self, api: LearningApi) -> None:
        pattern_id = planted(api)
        for change in ("disable", "enable"):
            path = f"/pattern/{pattern_id}/{change}"
            assert api.post(path, who="dave").status_code == 403
            assert api.post(path, who="charlie").status_code == 404
            assert api.client.post(path).status_code == 401
            assert api.client.head(path, headers=api.cast.headers("alice")).status_code == 405


class TestProposals:
    def test_say_what_they_would_have_hidden_and_are_accepted_by_enabling(
        self, api: LearningApi
    ) -> None:
        with api.app_state.database.unit_of_work() as session:
            metric = make_metric(api.cast.acme, "shop.orders")
            pattern = make_pattern(
                metric, state="proposed", origin="learnt", creator_type="machine"
            )
            anomaly = make_anomaly(metric)
            session.add(
                WouldHide(
                    pattern_id=pattern.id,
                    anomaly_id=anomaly.id,
                    similarity=91.0,
                    found_at=pattern.created_at,
                )
            )
            pattern_id, anomaly_id = pattern.id, anomaly.id
        [proposed] = api.data("/patterns", status="proposed")["patterns"]
        assert (proposed["would_hide"], proposed["enabled"]) == (1, False)
        listed = api.data(f"/pattern/{pattern_id}/anomalies")
        assert ([one["id"] for one in listed["anomalies"]], listed["total"]) == ([anomaly_id], 1)
        accepted = api.change(f"/pattern/{pattern_id}/enable")
        assert (accepted["pattern"]["status"], accepted["enabled_children"]) == ("active", [])
        assert accepted["pattern"]["status_by"] == "Alice"


class TestLearning:
    def test_is_switched_off_for_an_org_by_its_admins(self, api: LearningApi) -> None:
        pattern_id = planted(
            api, state="proposed", origin="learnt", creator_type="machine", state_by="Anomify"
        )
        assert api.data("/org/info")["org"]["learning"] is True
        assert api.post("/org/update", who="dave", learning="false").status_code == 403
        assert api.change("/org/update", learning="false")["org"]["learning"] is False
        assert api.data(f"/pattern/{pattern_id}")["pattern"]["status"] == "retired"
        assert api.data("/org/info", who="charlie")["org"]["learning"] is True
