"""/anomaly/train and /anomaly/untrain over HTTP, with points that the real engine has judged."""

import pytest

from anomify.clock import now_timestamp
from anomify.db import session
from tests.factories import make_anomaly, make_metric
from tests.kit.learning_api import LearningApi
from tests.kit.nights import NEXT, TRAINED_DAY
from tests.kit.web import error, strict

# Fields marked [S] in the specification of an anomaly's training.
TRAINING_FIELDS = {
    "trainable",
    "trainable_status",
    "trainable_until_timestamp",
    "30_day_trainable_from_timestamp",
    "30_day_trainable_in",
    "reason",
    "windows",
}


class TestTrain:
    def test_makes_a_pattern_of_a_day_that_explains_the_next_night(self, api: LearningApi) -> None:
        nights, analyser, anomaly_id = api.with_anomaly()
        before = api.data(f"/anomaly/{anomaly_id}")["anomaly"]
        assert set(before["training"]) == TRAINING_FIELDS
        assert (before["training"]["trainable"], before["expected"]) == (True, None)
        data = api.change(
            "/anomaly/train",
            anomaly_id=anomaly_id,
            expected="true",
            label=" nightly  job ",
            durations="24h",
        )
        [pattern] = data["patterns"]
        assert (pattern["label"], pattern["duration"], pattern["enabled"]) == (
            "nightly job",
            86_400,
            True,
        )
        assert (pattern["creator_user_display_name"], pattern["direction"]) == ("Alice", "up")
        after = data["anomaly"]
        assert (after["expected"], after["positive"], after["labelled_by"]) == (
            True,
            False,
            "Alice",
        )
        assert after["training"]["trainable_status"] == "trained"
        assert [one["id"] for one in after["patterns"]] == [pattern["id"]]
        api.judge(nights, analyser, NEXT + 1)
        assert nights.anomalies(NEXT) == []
        assert len(nights.matches(NEXT)) == 1

    def test_says_which_windows_were_refused_and_why(self, api: LearningApi) -> None:
        _, _, anomaly_id = api.with_anomaly()
        windows = api.data(f"/anomaly/{anomaly_id}")["anomaly"]["training"]["windows"]
        reasons = {window["name"]: window["reason"] for window in windows}
        assert reasons["24h"] == ""
        data = api.change(
            "/anomaly/train", anomaly_id=anomaly_id, expected="true", durations="24h,7d,30d"
        )
        refused = {one["name"]: one["reason"] for one in data["refused"]}
        assert refused == {name: why for name, why in reasons.items() if why and name != "30d"}
        [pending] = data["anomaly"]["pending_patterns"]
        assert (pending["duration_string"], pending["requested_by"], pending["status"]) == (
            "30 days",
            "Alice",
            "waiting",
        )
        listed = api.data("/patterns/pending")
        assert (listed["pending"], listed["total"]) == ([pending], 1)
        assert api.data("/patterns/pending", who="charlie")["total"] == 0

    def test_by_a_token_has_the_creator_api(self, api: LearningApi) -> None:
        _, _, anomaly_id = api.with_anomaly()
        headers = {"X-Auth-Token": api.tokens["acme"]}
        fields = {"anomaly_id": anomaly_id, "expected": True, "durations": ["24h"]}
        reply = api.client.post("/anomaly/train", headers=headers, json=fields)
        [pattern] = strict(reply)["data"]["patterns"]
        assert pattern["creator_user_display_name"] == "API"
        assert pattern["creator_user_id"] is None

    def test_finds_the_anomaly_by_metric_and_moment(self, api: LearningApi) -> None:
        nights, _, anomaly_id = api.with_anomaly()
        at = nights.at(TRAINED_DAY, 130) // 1000
        data = api.change("/anomaly/train", metric=nights.kind.name, timestamp=at, expected="false")
        assert (data["anomaly"]["id"], data["anomaly"]["positive"]) == (anomaly_id, True)
        assert all(pattern["positive"] for pattern in data["patterns"])
        assert api.data("/anomalies", positive="true", **{"from": 1})["total"] == 1
        assert api.data("/anomalies", positive="false", **{"from": 1})["total"] == 0

    def test_a_second_time_is_a_conflict_and_the_other_answer_replaces_it(
        self, api: LearningApi
    ) -> None:
        _, _, anomaly_id = api.with_anomaly()
        fields = {"anomaly_id": anomaly_id, "expected": "true", "durations": "24h"}
        [first] = api.change("/anomaly/train", **fields)["patterns"]
        refused = api.post("/anomaly/train", **fields)
        assert (refused.status_code, error(refused)["code"]) == (409, "already_trained")
        data = api.change("/anomaly/train", **{**fields, "expected": "false"})
        assert [one["positive"] for one in data["patterns"]] == [True]
        assert api.data(f"/pattern/{first['id']}")["pattern"]["enabled"] is False

    def test_refuses_with_the_reason_what_cannot_be_trained(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            metric = make_metric(api.cast.acme, "no.points")
            without_points = make_anomaly(metric).id
            silent = make_anomaly(make_metric(api.cast.acme, "silent"), is_silence=True).id
        for anomaly_id in (without_points, silent):
            reply = api.post("/anomaly/train", anomaly_id=anomaly_id, expected="true")
            found = error(reply)
            assert (reply.status_code, found["code"]) == (409, "no_data")
            assert "nothing to learn from" in found["message"]
        training = api.data(f"/anomaly/{silent}")["anomaly"]["training"]
        assert (training["trainable"], training["trainable_status"]) == (False, "no_data")

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"expected": "true"}, "anomaly_id"),
            ({"anomaly_id": 1}, "expected"),
            ({"anomaly_id": 1, "expected": "maybe"}, "expected"),
            ({"anomaly_id": 1, "expected": "true", "durations": "1h"}, "durations"),
            ({"anomaly_id": 1, "expected": "true", "label": "x" * 201}, "label"),
            ({"anomaly_id": 1, "expected": "true", "scope": "org"}, "scope"),
            ({"anomaly_id": 1, "expected": "true", "layers": "D"}, "layers"),
            ({"metric": "a", "timestamp": "x", "expected": "true"}, "timestamp"),
        ],
    )
    def test_names_the_wrong_parameter(
        self, api: LearningApi, fields: dict[str, object], named: str
    ) -> None:
        reply = api.post("/anomaly/train", **fields)
        assert (reply.status_code, set(error(reply)["fields"])) == (400, {named})

    def test_is_not_for_others_viewers_and_demo_orgs(self, api: LearningApi) -> None:
        with api.app_state.database.unit_of_work():
            anomaly_id = make_anomaly(make_metric(api.cast.acme)).id
        fields = {"anomaly_id": anomaly_id, "expected": "true"}
        foreign = api.post("/anomaly/train", who="charlie", **fields)
        unknown = api.post("/anomaly/train", who="charlie", anomaly_id=987_654, expected="true")
        assert foreign.status_code == unknown.status_code == 404
        assert error(foreign) == error(unknown)
        assert api.post("/anomaly/train", who="dave", **fields).status_code == 403
        assert api.client.post("/anomaly/train", data=fields).status_code == 401
        with api.app_state.database.unit_of_work():
            session().merge(api.cast.acme).is_demo = True
        reply = api.post("/anomaly/train", **fields)
        assert (reply.status_code, error(reply)["code"]) == (403, "demo_read_only")


class TestUntrain:
    def test_takes_the_answer_back_and_disables_the_patterns(self, api: LearningApi) -> None:
        nights, analyser, anomaly_id = api.with_anomaly()
        fields = {"anomaly_id": anomaly_id, "expected": "true", "durations": "24h,30d"}
        [pattern] = api.change("/anomaly/train", **fields)["patterns"]
        data = api.change("/anomaly/untrain", anomaly_id=anomaly_id)
        assert [one["id"] for one in data["disabled"]] == [pattern["id"]]
        assert (data["anomaly"]["expected"], data["anomaly"]["pending_patterns"]) == (None, [])
        assert data["anomaly"]["training"]["trainable"] is True
        again = api.post("/anomaly/untrain", anomaly_id=anomaly_id)
        assert (again.status_code, error(again)["code"]) == (409, "not_trained")
        api.judge(nights, analyser, NEXT + 1)
        assert len(nights.anomalies(NEXT)) == 1
        assert nights.matches(NEXT) == []

    def test_is_in_the_audit_trail_and_in_the_feed(self, api: LearningApi) -> None:
        nights, _, anomaly_id = api.with_anomaly()
        since = now_timestamp() - 60
        api.change("/anomaly/train", anomaly_id=anomaly_id, expected="true", durations="24h")
        api.change("/anomaly/untrain", anomaly_id=anomaly_id)
        texts = [
            event["text"]
            for event in api.data("/org/events", types="anomaly", **{"from": since})["events"]
            if event["actor"] == "Alice"
        ]
        name = nights.kind.name
        assert sorted(texts) == [
            f"Labelled anomaly of {name}.",
            f"Took back the label of anomaly of {name}.",
        ]


class TestLists:
    def test_select_what_people_and_patterns_have_explained(self, api: LearningApi) -> None:
        _, _, anomaly_id = api.with_anomaly()
        window = {"from": 1}
        assert api.data("/anomalies", status="trained", **window)["total"] == 0
        api.change("/anomaly/train", anomaly_id=anomaly_id, expected="true", durations="24h")
        [listed] = api.data("/anomalies", status="trained", **window)["anomalies"]
        assert (listed["id"], listed["expected"]) == (anomaly_id, True)
        assert api.data("/anomalies", status="matched", **window)["total"] == 0

    def test_summaries_count_the_answers(self, api: LearningApi) -> None:
        nights, _, match_id = api.with_match()
        name = nights.kind.name
        summary = api.data(f"/metric/{name}/anomalysummary")["summary"]
        assert (summary["total"], summary["trained"], summary["positive"]) == (1, 1, 0)
        assert summary["matches"] == 1
        counts = api.data(f"/metric/{name}")["counts"]
        assert (counts["patterns"] >= 1, counts["matches"]) == (True, 1)
        window = {"from": nights.at(NEXT) // 1000, "until": nights.at(NEXT + 1) // 1000}
        bundle = api.data(f"/metric/{name}/bundle", parts="matches,patterns", **window)
        assert [one["id"] for one in bundle["matches"]] == [match_id]
        assert {one["metric_name"] for one in bundle["patterns"]} == {name}
