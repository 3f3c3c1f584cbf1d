import base64
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomify.clock import now_timestamp
from anomify.errors import Unavailable
from anomify.ingest.wire import BODY_BYTES_MAX
from tests.kit.flux import AT, POST, item, post


class TestPost:
    def test_answers_204_when_everything_is_stored(self, api):
        reply = post(api, {"metrics": [item(), item("c", value=2), item(timestamp=AT + 1)]})
        assert (reply.status_code, reply.data) == (204, b"")
        assert api.stored("a.b") == [(AT * 1000, 1.5), ((AT + 1) * 1000, 1.5)]
        assert api.stored("c") == [(AT * 1000, 2.0)]

    def test_has_stored_it_durably_before_it_answers(self, api):
        post(api, item())
        (entry,) = api.log()
        assert entry.points.values.tolist() == [1.5]
        assert not entry.is_backfill

    def test_makes_no_session(self, api):
        assert "Set-Cookie" not in post(api, item()).headers

    def test_reports_each_refused_item_and_stores_the_others(self, api):
        document = {
            "metrics": [
                item("good"),
                item("text", value="1"),
                item("flag", value=True),
                item("later", timestamp=now_timestamp() + 3600),
                item("ancient", timestamp=5),
                item("bad{name", value=1),
                17,
                item("good", timestamp=AT + 1),
            ]
        }
        reply = post(api, document)
        assert reply.status_code == 207
        result = reply.json
        assert result["status"] == "partly stored"
        assert (result["accepted"], result["rejected_total"]) == (2, 6)
        assert [(entry["index"], entry["metric"]) for entry in result["rejected"]] == [
            (1, "text"),
            (2, "flag"),
            (3, "later"),
            (4, "ancient"),
            (5, "bad{name"),
            (6, ""),
        ]
        assert all(entry["reason"] for entry in result["rejected"])
        assert api.names() == ["good"]

    @pytest.mark.parametrize("position", range(4))
    @pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400", "null"])
    def test_names_the_one_bad_number_wherever_it_stands(self, api, position, literal):
        items = [json.dumps(item(f"m{index}")) for index in range(4)]
        items[position] = f'{{"metric": "bad", "timestamp": {AT}, "value": {literal}}}'
        reply = api.post(POST, '{"metrics": [' + ",".join(items) + "]}")
        (rejected,) = reply.json["rejected"]
        assert (rejected["index"], rejected["metric"]) == (position, "bad")
        assert len(api.names()) == 3

    @pytest.mark.parametrize("value", ["1", True, None])
    def test_answers_400_when_the_only_datapoint_is_refused(self, api, value):
        reply = post(api, item(value=value))
        assert reply.status_code == 400
        assert reply.json["rejected"][0]["index"] == 0
        assert api.names() == []

    @pytest.mark.parametrize("how_many", [1, 3])
    def test_answers_400_when_nothing_of_a_list_is_stored(self, api, how_many):
        """Senders take 207 for a success."""
        items = [item(f"m{number}", value="x") for number in range(how_many)]
        for document in ({"metrics": items}, items):
            reply = post(api, document)
            assert reply.status_code == 400
            assert reply.json["rejected_total"] == how_many
            assert "the value is a string" in reply.json["message"]
        assert api.names() == []
        assert post(api, {"metrics": [*items, item()]}).status_code == 207

    def test_reads_json_with_any_content_type(self, api):
        for content_type in ("", "text/plain", "application/x-www-form-urlencoded"):
            headers = {"Content_Type": content_type} if content_type else {}
            for path in (POST, "/flux/prometheus/write"):
                assert post(api, item(), path, **headers).status_code == 204

    def test_changes_nothing_when_the_same_comes_twice_in_any_order(self, api):
        items = [item(timestamp=AT + step, value=step) for step in range(5)]
        for order in (items, items[::-1], items[2:], items):
            assert post(api, {"metrics": order}).status_code == 204
        assert api.stored("a.b") == [((AT + step) * 1000, step) for step in range(5)]

    def test_keeps_the_last_of_two_values_of_one_time(self, api):
        post(api, {"metrics": [item(value=1), item(value=2)]})
        assert api.stored("a.b") == [(AT * 1000, 2.0)]

    def test_stores_any_age_and_fractions_of_seconds(self, api):
        post(api, {"metrics": [item(timestamp=946_684_800), item(timestamp=AT + 0.25)]})
        assert [time for time, _ in api.stored("a.b")] == [946_684_800_000, AT * 1000 + 250]

    def test_marks_history(self, api):
        reply = post(api, {"metrics": [item(fill="true", timestamp=AT - 1), item()]})
        assert reply.status_code == 204
        assert sorted(entry.is_backfill for entry in api.log()) == [False, True]
        assert len(api.stored("a.b")) == 2

    @pytest.mark.parametrize("how", ["header", "body"])
    def test_marks_a_whole_request_as_history(self, api, how):
        document = {"metrics": [item()]} | ({"fill": True} if how == "body" else {})
        post(api, document, **({"fill": "true"} if how == "header" else {}))
        assert [entry.is_backfill for entry in api.log()] == [True]

    def test_dry_run_reports_what_would_be_stored(self, api):
        post(api, item("known"))
        document = {"test": True, "metrics": [item("known"), item("new"), item("bad", value="x")]}
        reply = post(api, document)
        assert reply.status_code == 200
        assert reply.json["accepted"] == 2
        assert reply.json["new"] == ["new"]
        assert [entry["index"] for entry in reply.json["rejected"]] == [2]
        assert api.names() == ["known"]
        assert len(api.log()) == 1

    def test_refuses_what_is_over_the_quota_and_names_it(self, api):
        org_id, token = api.make_org("Small", quota=1)
        reply = post(api, {"metrics": [item("a"), item("b"), item("a", AT + 1)]}, token=token)
        assert reply.status_code == 207
        (rejected,) = reply.json["rejected"]
        assert (rejected["index"], rejected["metric"]) == (1, "b")
        assert "limit of 1 metrics" in rejected["reason"]
        assert api.names(org_id) == ["a"]

    def test_keeps_servers_apart(self, api):
        for server in ("1", "2"):
            post(api, item("cpu"), x_server_id=server)
        assert api.names() == ['cpu{_server_id="1"}', 'cpu{_server_id="2"}']

    def test_gives_labelled_names_one_spelling(self, api):
        post(api, {"metrics": [item('m{b="2",a="1"}'), item('m{a="1", b="2"}', AT + 1)]})
        assert len(api.stored('m{a="1",b="2"}')) == 2

    def test_reads_gzip(self, api):
        body = gzip.compress(json.dumps(item()).encode())
        assert api.post(POST, body, Content_Encoding="gzip").status_code == 204

    def test_reads_telegraf(self, api):
        measurement = {
            "name": "cpu",
            "tags": {"host": "web.1"},
            "fields": {"idle": 97.5, "state": "ok"},
            "timestamp": AT,
        }
        body = gzip.compress(json.dumps({"metrics": [measurement]}).encode())
        reply = api.post(
            POST,
            body,
            token=None,
            Content_Encoding="gzip",
            key=api.token,
            telegraf="true",
            prefix="tg",
        )
        assert reply.status_code == 207
        assert reply.json["rejected"][0]["metric"] == "tg.web_1.cpu.state"
        assert api.names() == ["tg.web_1.cpu.idle"]

    def test_answers_503_with_retry_after_if_it_cannot_store(self, api, monkeypatch):
        def refuse(entry):
            raise Unavailable("The points could not be stored; send them again.")

        monkeypatch.setattr(api.app_state.points, "append", refuse)
        reply = post(api, item())
        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) > 0
        assert reply.json["status"] == "error"

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (b"", {}, 400),
            (b"{", {}, 400),
            (b"[" * 100_000, {}, 400),
            (b"{}", {}, 400),
            (b" " * (BODY_BYTES_MAX + 1), {}, 413),
            (gzip.compress(b" " * (BODY_BYTES_MAX + 1), 1), {"Content_Encoding": "gzip"}, 413),
            (b"no gzip", {"Content_Encoding": "gzip"}, 400),
            (b"{}", {"Content_Encoding": "br"}, 415),
            (json.dumps({"metrics": [1] * 100_001}).encode(), {}, 413),
        ],
        ids=lambda value: repr(value)[:24],
    )
    def test_refuses_an_unreadable_body_with_the_reason(self, api, body, headers, status):
        reply = api.post(POST, body, **headers)
        assert reply.status_code == status
        assert reply.json["message"]
        assert reply.json["request_id"] == reply.headers["X-Request-Id"]

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
    )
    @given(st.binary(max_size=80) | st.sampled_from([b'{"metrics":[{}]}', b"[[]]", b'{"value":1}']))
    def test_never_fails_on_any_bytes(self, api, body):
        for headers in ({}, {"telegraf": "true"}, {"Content_Encoding": "gzip"}):
            reply = api.post(POST, body, **headers)
            assert 200 <= reply.status_code < 500
            assert reply.status_code == 204 or reply.json


class TestKey:
    def test_is_taken_from_every_usual_place(self, api):
        document = item()
        basic = [
            base64.b64encode(f"{user}:{password}".encode()).decode()
            for user, password in (
                ("anybody", api.token),
                ("", api.token),
                (api.token, ""),
                (api.token, "x-oauth-basic"),
                (api.token, api.token),
            )
        ]
        for headers in (
            {"Authorization": f"Bearer {api.token}"},
            *({"Authorization": f"Basic {one}"} for one in basic),
            {"X_Auth_Token": api.token},
            {"key": api.token},
        ):
            assert post(api, document, token=None, **headers).status_code == 204
        assert post(api, document | {"key": api.token}, token=None).status_code == 204

    @pytest.mark.parametrize("key", ["nonsense", "anm_00000000_" + "0" * 32 + "_00000000", "é"])
    def test_is_refused_when_it_is_none_of_ours(self, api, key):
        reply = post(api, item(key=key), token=None)
        assert reply.status_code == 401
        assert reply.json["code"] == "token_invalid"
        assert "Bearer" in reply.headers["WWW-Authenticate"]
        assert key not in reply.text

    def test_is_asked_for_when_none_is_sent(self, api):
        reply = post(api, item(), token=None)
        assert reply.status_code == 401
        assert reply.json["code"] == "token_missing"

    def test_needs_the_scope_of_ingestion(self, api):
        _, token = api.make_org("Readers", scopes=("read", "write", "admin"))
        reply = post(api, item(), token=token)
        assert reply.status_code == 403
        assert "ingest" in reply.json["message"]

    def test_can_be_checked_alone(self, api):
        reply = post(api, {"key": api.token, "validate_key": True}, token=None)
        assert (reply.status_code, reply.json) == (200, {"status": "key valid"})
        assert post(api, {"key": "x", "validate_key": True}, token=None).status_code == 401

    def test_alone_determines_the_org(self, api):
        globex, token = api.make_org("Globex")
        post(api, item("m"))
        post(api, item("m", value=9), token=token, X_Scope_OrgID="1", x_tenant_id="Acme")
        assert api.stored("m") == [(AT * 1000, 1.5)]
        assert api.stored("m", globex) == [(AT * 1000, 9.0)]


class TestGet:
    def get(self, api, **query):
        return api.client.get("/flux/metric_data", query_string=query)

    def test_stores_one_datapoint(self, api):
        query = {"key": api.token, "metric": "a b", "timestamp": AT, "value": "1e3"}
        assert self.get(api, **query).status_code == 204
        assert api.stored("a b") == [(AT * 1000, 1000.0)]

    def test_stores_nothing_for_a_head_request(self, api):
        query = {"key": api.token, "metric": "m", "timestamp": AT, "value": 1}
        reply = api.client.head("/flux/metric_data", query_string=query)
        assert reply.status_code == 405
        assert api.stored("m") is None

    @pytest.mark.parametrize(("name", "value"), [("value", "nan"), ("timestamp", "x")])
    def test_answers_400_for_an_invalid_value_or_time(self, api, name, value):
        query = {"key": api.token, "metric": "m", "timestamp": AT, "value": 1} | {name: value}
        reply = self.get(api, **query)
        assert reply.status_code == 400
        assert reply.json["rejected"][0]["reason"]

    def test_takes_fractions_of_seconds(self, api):
        query = {"key": api.token, "metric": "m", "timestamp": f"{AT}.5", "value": 1}
        assert self.get(api, **query).status_code == 204
        assert api.stored("m") == [(AT * 1000 + 500, 1.0)]

    def test_refuses_an_address_that_is_not_utf8(self, api):
        """Two names that cannot be read would be one."""
        for name in ("%ff", "a%C3", "%ED%B3%BF"):
            address = f"/flux/metric_data?key={api.token}&metric={name}&timestamp={AT}&value=1"
            reply = api.client.get(address)
            assert (reply.status_code, reply.json["code"]) == (400, "not_utf8")
        assert api.names() == []

    def test_with_another_method_gets_the_allowed_one(self, api):
        for path, method, taken in (
            (POST, "get", "POST"),
            (POST, "put", "POST"),
            ("/flux/metric_data", "post", "GET"),
            ("/api/v1/write", "get", "POST"),
        ):
            reply = getattr(api.client, method)(path)
            assert reply.status_code == 405
            assert taken in reply.headers["Allow"]
            assert f"takes {taken}, not {method.upper()}" in reply.text

    def test_answers_401_for_a_bad_key(self, api):
        assert self.get(api, key="x", metric="m", timestamp=AT, value=1).status_code == 401

    def test_answers_the_status_check_without_a_key(self, api):
        reply = self.get(api, status="true")
        assert (reply.status_code, reply.json) == (200, {"status": "ok"})

    def test_can_be_a_dry_run(self, api):
        query = {"key": api.token, "metric": "m", "timestamp": AT, "value": 1, "test": "true"}
        assert self.get(api, **query).json["new"] == ["m"]
        assert api.names() == []

    def test_answers_400_for_two_different_values_of_one_parameter(self, api):
        query = {"key": api.token, "metric": ["m", "n"], "timestamp": AT, "value": 1}
        reply = self.get(api, **query)
        assert (reply.status_code, reply.json["code"]) == (400, "conflicting_parameter")
        assert api.names() == []
