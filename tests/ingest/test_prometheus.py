import base64
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomify.clock import now_ms
from anomify.errors import Unavailable
from anomify.ingest.counters import REFUSED
from tests.kit.clock import LONG_AGO_SECONDS
from tests.kit.remote_write import STALE, body_1, body_2, series, snappy

WRITE = "/api/v1/write"
REPORTED = "/flux/prometheus/write"
NOW = LONG_AGO_SECONDS * 1000
UP = {"__name__": "up", "instance": "web:9100", "job": "node"}
NAME = 'up{instance="web:9100",job="node"}'
ONE = "application/x-protobuf"
TWO = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


def write(api, body, path=WRITE, content_type=ONE, **headers):
    return api.post(
        path, snappy(body), Content_Type=content_type, Content_Encoding="snappy", **headers
    )


def refused(reason):
    return REFUSED.labels("prometheus", reason)._value.get()


class TestWrite:
    def test_stores_what_prometheus_sends(self, api):
        body = body_1(series(UP, (NOW, 1.0)), series({"__name__": "load1"}, (NOW, 0.0)))
        for _ in range(2):
            reply = write(api, body, X_Prometheus_Remote_Write_Version="0.1.0")
            assert (reply.status_code, reply.data) == (204, b"")
        assert api.stored(NAME) == [(NOW, 1.0)]
        assert api.stored("load1") == [(NOW, 0.0)]
        assert "Set-Cookie" not in reply.headers
        assert not any(name.startswith("X-Prometheus") for name in dict(reply.headers))

    def test_stores_version_2_and_returns_the_counts(self, api):
        body = body_2((UP, [(NOW, 1.0), (NOW + 1, 2.0)]), (UP, [], {"exemplars": [{"value": 1.0}]}))
        reply = write(api, body, content_type=TWO, X_Prometheus_Remote_Write_Version="2.0.0")
        assert reply.status_code == 204
        assert reply.headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"
        assert reply.headers["X-Prometheus-Remote-Write-Histograms-Written"] == "0"
        assert reply.headers["X-Prometheus-Remote-Write-Exemplars-Written"] == "0"
        assert api.stored(NAME) == [(NOW, 1.0), (NOW + 1, 2.0)]

    def test_refuses_labels_that_are_not_utf_8_and_stores_the_rest(self, api):
        good = body_1(
            *(series({"__name__": "m", "a": f"?{number}"}, (NOW, 1.0)) for number in "12"),
            series(UP, (NOW, 2.0)),
        )
        body = good.replace(b"?1", b"\xff\xfe").replace(b"?2", b"\xfe\xff")
        for _ in range(2):
            reply = write(api, body, path=REPORTED)
            assert reply.status_code == 207
            result = [(entry["index"], entry["reason"]) for entry in reply.json["rejected"]]
            reason = "the value of the label 'a' is not valid UTF-8"
            assert result == [(0, reason), (1, reason)]
        assert api.names() == [NAME]

    def test_is_one_metric_whichever_version_or_route_it_comes_by(self, api):
        write(api, body_1(series(UP, (NOW, 1.0))))
        write(api, body_2((UP, [(NOW + 1, 2.0)])), content_type=TWO)
        item = {"metric": NAME, "timestamp": (NOW + 2) / 1000, "value": 3}
        api.post("/flux/metric_data_post", json.dumps(item))
        shuffled = series(list(reversed(UP.items())), (NOW + 3, 4.0))
        write(api, body_1(shuffled))
        assert [value for _, value in api.stored(NAME)] == [1.0, 2.0, 3.0, 4.0]

    def test_stores_the_good_and_counts_the_rest(self, api):
        body = body_1(
            series(UP, (NOW, math.nan)),
            series(UP, (NOW, 1.0)),
            series({"job": "x"}, (NOW, 1.0)),
            series({"__name__": "later"}, (now_ms() + 3_600_000, 1.0)),
            series({"__name__": "h"}, histograms=[{"sum": 1.0, "timestamp": NOW}]),
        )
        kinds = ("nan", "future", "bad_name", "histogram")
        before = [refused(kind) for kind in kinds]
        assert write(api, body).status_code == 204
        after = [refused(kind) for kind in kinds]
        assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1, 1]
        assert api.names() == [NAME]
        assert api.stored(NAME) == [(NOW, 1.0)]

    def test_answers_400_with_counts_for_a_partly_stored_version_2(self, api):
        """The specification: no 2xx where a part was not written, and counts of what was."""
        later = {"__name__": "later"}
        for parts, stored, code in (
            (
                [(UP, [(NOW, 1.0), (NOW + 1, 2.0)]), (later, [(now_ms() + 3_600_000, 1.0)])],
                2,
                "partly",
            ),
            ([(later, [(now_ms() + 3_600_000, 1.0)])], 0, "nothing"),
            ([(UP, [], {"histograms": [{"sum": 1.0}]})], 0, "nothing"),
        ):
            reply = write(api, body_2(*parts), content_type=TWO)
            assert reply.status_code == 400
            assert reply.json["code"] == f"{code}_stored"
            assert reply.json["message"]
            counts = [
                reply.headers[f"X-Prometheus-Remote-Write-{kind}-Written"]
                for kind in ("Samples", "Histograms", "Exemplars")
            ]
            assert counts == [str(stored), "0", "0"]
        assert api.stored(NAME) == [(NOW, 1.0), (NOW + 1, 2.0)]

    def test_answers_400_where_nothing_of_a_body_could_be_stored(self, api):
        later = series({"__name__": "later"}, (now_ms() + 3_600_000, 1.0))
        reply = write(api, body_1(later, later))
        assert reply.status_code == 400
        assert "2 of 2 items" in reply.json["message"]
        assert "in the future" in reply.json["message"]
        assert not any(name.startswith("X-Prometheus") for name in dict(reply.headers))
        assert write(api, body_1(later, later), REPORTED).status_code == 400

    def test_keeps_tabs_and_ends_of_lines_in_values_of_labels(self, api):
        values = ("a\tb", "a\nb", "a\rb", "a\r\n\tb", "ab")
        body = body_1(*(series({"__name__": "m", "v": value}, (NOW, 1.0)) for value in values))
        assert write(api, body).status_code == 204
        assert len(api.names()) == len(values)
        for name in api.names():
            item = {"metric": name, "timestamp": (NOW + 1) / 1000, "value": 2}
            assert api.post("/flux/metric_data_post", json.dumps(item)).status_code == 204
        assert len(api.names()) == len(values)

    def test_refuses_json_with_the_right_address(self, api):
        item = json.dumps({"metric": "m", "timestamp": NOW // 1000, "value": 1})
        for headers in ({}, {"Content_Type": "application/json"}, {"Content_Type": ONE}):
            reply = api.post(WRITE, item, **headers)
            assert reply.status_code in {400, 415}
            assert "/flux/metric_data_post" in reply.json["message"]

    def test_ends_a_series_and_stores_no_value_for_it(self, api):
        write(api, body_1(series(UP, (NOW, 1.0))))
        write(api, body_1(series(UP, (NOW + 1000, STALE))))
        assert api.stored(NAME) == [(NOW, 1.0)]
        entry = api.log()[-1]
        assert (len(entry.points), entry.ended.times.tolist()) == (0, [NOW + 1000])

    def test_ends_a_series_that_this_process_has_not_seen(self, api):
        write(api, body_1(series(UP, (NOW, 1.0))))
        # As in a process that has just started.
        api.app_state.registry._scopes.clear()
        write(api, body_1(series(UP, (NOW + 1000, STALE))))
        assert api.log()[-1].ended.times.tolist() == [NOW + 1000]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            body_1(metadata=[{"metric_family_name": "up"}] * 203),
            body_1(series(UP, exemplars=[{"value": 1.0}])),
            body_1(series({"__name__": "never"}, (NOW, STALE))),
        ],
        ids=["nothing", "metadata", "exemplars", "the end of the unknown"],
    )
    def test_takes_a_body_that_holds_nothing_to_store(self, api, body):
        assert write(api, body).status_code == 204
        assert (api.names(), api.log()) == ([], [])

    def test_takes_the_token_as_the_password_of_basic_auth(self, api):
        basic = base64.b64encode(f"prometheus:{api.token}".encode()).decode()
        reply = write(
            api,
            body_1(series(UP, (NOW, 1.0))),
            token=None,
            Authorization=f"Basic {basic}",
            X_Scope_OrgID="other",
        )
        assert reply.status_code == 204
        assert api.names() == [NAME]

    @pytest.mark.parametrize(
        ("content_type", "encoding", "status"),
        [
            ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", 204),
            ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", 415),
            ("text/plain", "snappy", 415),
            (ONE, "zstd", 415),
        ],
    )
    def test_lets_a_sender_fall_back(self, api, content_type, encoding, status):
        body = snappy(body_1(series(UP, (NOW, 1.0))))
        reply = api.post(WRITE, body, Content_Type=content_type, Content_Encoding=encoding)
        assert reply.status_code == status

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"not snappy", 400),
            (snappy(b"not protobuf"), 400),
            (snappy(body_1(series(UP, (NOW, 1.0))))[:-3], 400),
            (snappy(bytes(33 * 1024 * 1024)), 413),
            (b"\xff\xff\xff\xff\x0f", 413),
            (b"\xff\xff\x03abc", 400),
            (bytes(32 * 1024 * 1024 + 1), 413),
        ],
        ids=["empty", "text", "no protobuf", "cut", "bomb", "4 GiB", "lie", "large"],
    )
    def test_refuses_for_good_what_can_never_be_read(self, api, body, status):
        reply = api.post(WRITE, body, Content_Type=ONE, Content_Encoding="snappy")
        assert reply.status_code == status
        assert reply.json["message"]
        assert api.names() == []

    def test_stores_nothing_of_a_body_that_is_damaged_at_its_end(self, api):
        whole = body_1(series(UP, (NOW, 1.0)))
        assert write(api, whole).status_code == 204
        damaged = body_1(series(UP, (NOW + 1, 2.0))) + b"\x0a\x05abc"
        assert write(api, damaged).status_code == 400
        assert api.stored(NAME) == [(NOW, 1.0)]

    @pytest.mark.parametrize("token", [None, "nonsense"])
    def test_checks_the_token_before_it_reads_the_body(self, api, token):
        reply = api.post(WRITE, b"", token=token, Content_Type=ONE)
        assert reply.status_code == 401

    def test_answers_503_for_a_failure_of_the_server(self, api, monkeypatch):
        def refuse(entry):
            raise Unavailable("The points could not be stored; send them again.")

        monkeypatch.setattr(api.app_state.points, "append", refuse)
        reply = write(api, body_1(series(UP, (NOW, 1.0))))
        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) > 0

    def test_takes_a_body_that_is_large_once_unpacked(self, api):
        metadata = [{"metric_family_name": "m", "help": "x" * 1000}] * 5000
        body = body_1(series(UP, (NOW, 1.0)), metadata=metadata)
        assert len(body) > 4 * 1024 * 1024
        assert write(api, body).status_code == 204
        assert api.stored(NAME) == [(NOW, 1.0)]

    def test_keeps_servers_apart(self, api):
        for server in ("1", "2", "1"):
            write(api, body_1(series({"__name__": "up"}, (NOW, 1.0))), x_server_id=server)
        assert api.names() == ['up{_server_id="1"}', 'up{_server_id="2"}']

    def test_never_redirects(self, api):
        assert write(api, body_1(), path=WRITE + "/").status_code == 204
        assert write(api, body_1(), path=REPORTED + "/").status_code == 204

    def test_keeps_every_sample_of_many_series(self, api):
        many = [{"__name__": "m", "i": str(number)} for number in range(700)]
        for step in range(3):
            body = body_1(*(series(labels, (NOW + step, step)) for labels in many))
            assert write(api, body).status_code == 204
        assert len(api.names()) == 700
        assert api.stored('m{i="42"}') == [(NOW, 0.0), (NOW + 1, 1.0), (NOW + 2, 2.0)]

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
    )
    @given(st.binary(max_size=120))
    def test_never_fails_on_any_bytes(self, api, body):
        for sent in (body, snappy(body)):
            for content_type in (ONE, TWO):
                reply = api.post(WRITE, sent, Content_Type=content_type)
                assert reply.status_code in {204, 400, 413}


class TestWriteReported:
    def test_answers_204_when_everything_is_stored(self, api):
        assert write(api, body_1(series(UP, (NOW, 1.0))), REPORTED).status_code == 204

    def test_reports_each_refused_series(self, api):
        body = body_1(
            series(UP, (NOW, 1.0)),
            series([("__name__", "d"), ("a", "1"), ("a", "2")], (NOW, 1.0)),
            series(UP, (NOW, math.inf)),
            series({"__name__": "h"}, histograms=[{"sum": 1.0}]),
            series({"__name__": "n\x01"}, (NOW, 1.0)),
        )
        reply = write(api, body, REPORTED)
        assert reply.status_code == 207
        assert reply.json["accepted"] == 1
        result = [(entry["index"], entry["metric"]) for entry in reply.json["rejected"]]
        assert result == [(1, "d"), (2, NAME), (3, "h"), (4, "n\x01")]
        assert "occurs twice" in reply.json["rejected"][0]["reason"]

    def test_reports_each_refused_series_of_version_2(self, api):
        body = body_2((UP, [(NOW, math.nan)]), (UP, [(NOW, 1.0)]))
        reply = write(api, body, REPORTED, content_type=TWO)
        assert reply.status_code == 400
        assert [entry["index"] for entry in reply.json["rejected"]] == [0]
        assert reply.headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"

    def test_dry_run_reports_what_would_be_stored(self, api):
        reply = write(api, body_1(series(UP, (NOW, 1.0))), REPORTED, x_test_only="true")
        assert (reply.status_code, reply.json["new"]) == (200, [NAME])
        assert api.names() == []

    def test_reads_json_of_labelled_names(self, api):
        document = {
            "key": api.token,
            "metrics": [
                {
                    "metric": 'up{job="node", instance="web:9100"}',
                    "timestamp": NOW // 1000,
                    "value": 1,
                },
                {"metric": "up{job=}", "timestamp": NOW // 1000, "value": 1},
            ],
        }
        reply = api.post(
            REPORTED, json.dumps(document), token=None, Content_Type="application/json"
        )
        assert reply.status_code == 207
        assert [entry["index"] for entry in reply.json["rejected"]] == [1]
        assert api.names() == [NAME]
