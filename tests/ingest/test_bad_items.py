"""Whatever stands beside them in a request, good items are stored, and no answer is a 5xx."""

import base64
import gzip
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.clock import LONG_AGO_SECONDS
from tests.kit.remote_write import body_1, body_2, series, snappy

AT = LONG_AGO_SECONDS
POST = "/flux/metric_data_post"
ONE = "application/x-protobuf"
TWO = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

NUMBERS = (
    st.integers()
    | st.integers(300, 400).map(lambda digits: 10**digits)
    | st.floats()
    | st.sampled_from([1e308, 5e-324, -0.0, 2**63, 2**64, AT * 1000, -(10**309)])
)
TEXTS = st.text(max_size=8) | st.text(
    st.characters(categories=["Cs", "Cc", "Cf", "Co"]) | st.sampled_from('{}="\\,\n\t'), max_size=8
)
KEYS = st.sampled_from(
    ["metric", "timestamp", "value", "name", "fields", "tags", "fill", "host", "__name__", "key"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=8,
)
# Nearly right: one part of an item is something else.
NEARLY = st.builds(
    lambda good, part, anything: good | {part: anything},
    st.sampled_from(
        [
            {"metric": "other", "timestamp": AT, "value": 1},
            {"name": "other", "tags": {"host": "h"}, "fields": {"f": 1}, "timestamp": AT},
        ]
    ),
    KEYS,
    ANYTHING,
)
SETTINGS = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


@SETTINGS
@given(st.lists(ANYTHING | NEARLY, max_size=4), st.data())
def test_of_json_lists(api, bad, data):
    good = [{"metric": f"good.{number}", "timestamp": AT, "value": number} for number in range(3)]
    for item in bad:
        good.insert(data.draw(st.integers(0, len(good))), item)
    body = json.dumps({"metrics": good})
    for path in (POST, "/flux/prometheus/write"):
        reply = api.post(path, body, Content_Type="application/json")
        assert reply.status_code in {204, 207}, reply.text
        assert api.stored("good.2") == [(AT * 1000, 2.0)]
        if reply.status_code == 207:
            assert reply.json["accepted"] + reply.json["rejected_total"] == len(good)


@SETTINGS
@given(st.lists(ANYTHING | NEARLY, max_size=4), st.data())
def test_of_telegraf(api, bad, data):
    good = [
        {"name": "good", "tags": {"host": "h"}, "fields": {f"f{number}": number}, "timestamp": AT}
        for number in range(3)
    ]
    for item in bad:
        good.insert(data.draw(st.integers(0, len(good))), item)
    body = gzip.compress(json.dumps({"metrics": good}).encode())
    reply = api.post(POST, body, telegraf="true", Content_Encoding="gzip")
    assert reply.status_code in {204, 207}, reply.text
    for number in range(3):
        [name] = [name for name in api.names() if name.endswith(f"good.f{number}")]
        assert (AT * 1000, float(number)) in api.stored(name)


@SETTINGS
@given(ANYTHING | NEARLY, st.binary(max_size=30))
def test_of_one_item_alone(api, item, junk):
    for body in (json.dumps(item).encode(), json.dumps({"metrics": item}).encode() + junk):
        for headers in ({}, {"telegraf": "true"}):
            reply = api.post(POST, body, **headers)
            assert 200 <= reply.status_code < 500
            assert reply.status_code == 204 or reply.json
    query = {"key": api.token, "metric": "m", "timestamp": str(AT), "value": "1"}
    for name in query:
        requested = query | {name: json.dumps(item)}
        reply = api.client.get("/flux/metric_data", query_string=requested)
        assert 200 <= reply.status_code < 500


LABELS = st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=3)


@SETTINGS
@given(
    st.lists(st.binary(max_size=30) | LABELS, max_size=4), st.floats(), st.integers(-(2**62), 2**62)
)
def test_of_remote_write(api, bad, value, time):
    good = {"__name__": "good"}
    body = b""
    for one in bad:
        if isinstance(one, bytes):
            body += b"\x0a" + bytes([len(one)]) + one
        else:
            inner = b""
            for name, text in [(b"__name__", b"bad"), *one]:
                pair = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(text)]) + text
                inner += b"\x0a" + bytes([len(pair)]) + pair
            inner += body_1(series([], (time, value)))[2:]
            body += b"\x0a" + bytes([len(inner)]) + inner
        body += body_1(series(good, (AT * 1000, 1.0)))
    body += body_1(series(good, (AT * 1000 + 1, 2.0)), series({"__name__": "v"}, (time, value)))
    reply = api.post("/api/v1/write", snappy(body), Content_Type=ONE)
    assert reply.status_code == 204, reply.text
    assert (AT * 1000 + 1, 2.0) in api.stored("good")


@SETTINGS
@given(st.lists(st.binary(max_size=30), max_size=4), st.floats(), st.integers(-(2**62), 2**62))
def test_of_remote_write_2(api, bad, value, time):
    good = body_2(({"__name__": "good"}, [(AT * 1000, 1.0)]), ({"__name__": "v"}, [(time, value)]))
    body = b"".join(
        b"".join((b"\x2a", bytes([len(one)]), one, b"\x22", bytes([len(one)]), one)) for one in bad
    )
    reply = api.post("/api/v1/write", snappy(body + good), Content_Type=TWO)
    if not bad:
        assert (AT * 1000, 1.0) in api.stored("good")
    assert reply.status_code in {204, 400}
    # Symbols before those of the good series would move them; here they come after.
    reply = api.post("/api/v1/write", snappy(good + body), Content_Type=TWO)
    assert reply.status_code in {204, 400}
    assert int(reply.headers["X-Prometheus-Remote-Write-Samples-Written"]) >= 1
    assert (AT * 1000, 1.0) in api.stored("good")


@SETTINGS
@given(st.binary(max_size=20), st.sampled_from(["prefix", "X-Server-Id", "key", "Authorization"]))
def test_of_headers(api, value, name):
    text = value.decode("latin-1").replace("\r", "").replace("\n", "")
    item = {"metric": "m", "timestamp": AT, "value": 1, "key": api.token}
    headers = {name: text, "telegraf": "false"}
    reply = api.client.post(POST, data=json.dumps(item), headers=headers)
    assert reply.status_code < 500


def test_a_poisoned_batch_of_every_kind_is_answered_and_reported(api):
    """A half of a surrogate pair in whatever a refusal may quote."""
    half = "\udcff"
    items = [
        {"metric": half, "timestamp": AT, "value": None},
        {"metric": half, "timestamp": half, "value": 1},
        {"metric": half, "timestamp": AT, "value": 1},
        {"metric": "m{" + half + '="1"}', "timestamp": AT, "value": 1},
        {"metric": 'm{a="1",' + half + '="2"}', "timestamp": AT, "value": None},
        {"metric": f'm{{a="{half}"}}', "timestamp": AT, "value": 1},
        {half: half},
        half,
        {"metric": "good", "timestamp": AT, "value": 1},
    ]
    reply = api.post(POST, json.dumps({"metrics": items}))
    assert reply.status_code == 207
    assert [one["index"] for one in reply.json["rejected"]] == list(range(8))
    dry_run = api.post(POST, json.dumps({"metrics": items, "test": True}))
    assert (dry_run.status_code, dry_run.json["accepted"]) == (200, 1)
    for document in ({"key": half}, {"metrics": items, "key": half}, {half: half}):
        assert api.post(POST, json.dumps(document), token=None).status_code in {400, 401}
    basic = base64.b64encode(b"\xff\xfe:\xff").decode()
    reply = api.post(POST, b"[]", token=None, Authorization=f"Basic {basic}")
    assert reply.status_code == 401
