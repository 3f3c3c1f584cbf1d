"""/flux with the JSON of Telegraf: its names, prefixes and refusals."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.flux import AT, item, post


def measurement(tags, name="net", **fields):
    return {"name": name, "tags": tags, "fields": fields or {"bytes": 1}, "timestamp": AT}


TELEGRAF_TEXTS = st.text(st.sampled_from('ab._ /{}="\u00e9\u200b'), max_size=3)


TAGS = st.dictionaries(st.sampled_from(["host", "a", "_field", "_measurement"]), TELEGRAF_TEXTS)


class TestTelegraf:
    def test_never_stores_two_series_as_one(self, api):
        sent = [
            measurement({"src": "10"}, bytes=1),
            measurement({"dst": "10"}, bytes=2),
            measurement({"host": "web.1"}, bytes=3),
            measurement({"host": "web_1"}, bytes=4),
            measurement({"host": "a b"}, bytes=5),
            measurement({"host": "a_b"}, bytes=6),
            measurement({"path": "/x"}, bytes=7),
            measurement({"path": "-x"}, bytes=8),
            measurement({}, name="y.z", bytes=9),
            measurement({}, name="y_z", bytes=10),
            measurement({}, **{"a.b": 11, "a_b": 12}),
        ]
        for _ in range(2):
            assert post(api, {"metrics": sent}, telegraf="true").status_code == 204
        found = [api.stored(name) for name in api.names()]
        assert sorted(found) == [[(AT * 1000, float(value))] for value in range(1, 13)]
        assert "10.net.bytes" in api.names()
        assert 'web_1.net.bytes{host="web_1"}' in api.names()

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.tuples(TAGS, TELEGRAF_TEXTS.filter(bool), TELEGRAF_TEXTS), max_size=6),
        st.data(),
    )
    def test_keeps_apart_or_refuses_whatever_is_sent_in_any_order(self, api, drawn, data):
        series = {
            (name, field, tuple(sorted((tag, value) for tag, value in tags.items() if value)))
            for tags, name, field in drawn
        }
        sent = [
            measurement(dict(tags), name=name, **{field: value})
            for value, (name, field, tags) in enumerate(sorted(series))
        ]
        org_id, token = api.make_org("Drawn")
        stored = set()
        for order in (sent, data.draw(st.permutations(sent))):
            reply = post(api, {"metrics": order}, telegraf="true", token=token)
            refused = {entry["index"] for entry in (reply.json or {"rejected": []})["rejected"]}
            stored |= {
                float(value)
                for index, item in enumerate(order)
                if index not in refused
                for value in item["fields"].values()
            }
        found = [api.stored(name, org_id) for name in api.names(org_id)]
        assert sorted(found) == [[(AT * 1000, value)] for value in sorted(stored)]

    def test_dry_run_reports_the_name_of_a_series(self, api):
        sent = [measurement({"src": "10"}), measurement({"dst": "10"})]
        result = post(api, {"metrics": sent}, telegraf="true", x_test_only="true").json
        assert result["new"] == ["10.net.bytes", '10.net.bytes{dst="10"}']


class TestNames:
    def test_keeps_spellings_apart_and_refuses_what_cannot_be_seen(self, api):
        sent = [item("caf\u00e9", value=1), item("cafe\u0301", value=2), item("c\u200bpu", value=3)]
        reply = post(api, {"metrics": sent})
        assert [refused["index"] for refused in reply.json["rejected"]] == [2]
        assert "ZERO WIDTH SPACE" in reply.json["rejected"][0]["reason"]
        assert api.stored("caf\u00e9") == [(AT * 1000, 1.0)]
        assert api.stored("cafe\u0301") == [(AT * 1000, 2.0)]

    def test_refuses_a_label_that_the_header_contradicts(self, api):
        sent = [item('m{_server_id="1"}'), item('m{_server_id="2"}'), item("n")]
        reply = post(api, {"metrics": sent}, x_server_id="2")
        assert [refused["index"] for refused in reply.json["rejected"]] == [0]
        assert api.names() == ['m{_server_id="2"}', 'n{_server_id="2"}']

    def test_refuses_a_query_that_is_not_utf_8(self, api):
        headers = {"Authorization": f"Bearer {api.token}"}
        for name, status in (("m%25FF", 204), ("m%FF", 400), ("m%C3%A9", 204)):
            reply = api.client.get(
                f"/flux/metric_data?metric={name}&timestamp={AT}&value=1", headers=headers
            )
            assert reply.status_code == status, name
        assert api.names() == ["m%FF", "mé"]
