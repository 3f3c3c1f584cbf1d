import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.metric.name import canonical_name
from anomify.protocol.flux import parse_post
from anomify.protocol.telegraf import list_fields, series_of_key

AT = 1_790_000_000
CPU = {
    "name": "cpu",
    "tags": {"host": "web.1", "cpu": "cpu-total"},
    "fields": {"usage_idle": 97.5, "usage_user": 2},
    "timestamp": AT,
}


texts = st.text(st.sampled_from('ab./ _{}="\u00e9'), max_size=3)
measurements = st.fixed_dictionaries(
    {
        "name": texts.filter(bool),
        "tags": st.dictionaries(st.sampled_from(["host", "a", "b", "_field", "é"]), texts),
        "fields": st.dictionaries(texts, st.just(1), min_size=1, max_size=2),
    }
)


def named(fields):
    return [(name, value) for name, _key, value in fields]


def series(measurement, prefix):
    """What a measurement says of each of its series; a tag without a value says nothing."""
    tags = tuple(sorted((tag, value) for tag, value in measurement["tags"].items() if value))
    return [(prefix, measurement["name"], tags, field) for field in measurement["fields"]]


class TestListFields:
    def test_names_host_tags_measurement_and_field(self):
        assert named(list_fields(CPU)) == [
            ("web_1.cpu-total.cpu.usage_idle", 97.5),
            ("web_1.cpu-total.cpu.usage_user", 2),
        ]

    def test_takes_tags_in_the_order_of_their_names(self):
        item = {"name": "disk", "tags": {"path": "/var", "device": "sda1"}, "fields": {"free": 1}}
        assert named(list_fields(item)) == [("sda1.-var.disk.free", 1)]

    def test_puts_a_prefix_before_the_host(self):
        assert list_fields(CPU, "telegraf")[0][0] == "telegraf.web_1.cpu-total.cpu.usage_idle"

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            (3, "not an object"),
            ({"fields": {"a": 1}}, "no name"),
            ({"name": "cpu"}, "no fields"),
            ({"name": "cpu", "fields": {}}, "no fields"),
            ({"name": "cpu", "fields": {"a": 1}, "tags": [1]}, "tags"),
            ({"name": "cpu", "fields": {"a": 1}, "tags": {"b": None}}, "tag 'b'"),
            ({"name": "cpu", "fields": {"a": 1}, "tags": {"b": {"c": 1}}}, "tag 'b'"),
        ],
    )
    def test_refuses_a_measurement_with_the_reason(self, item, reason):
        assert reason in list_fields(item)

    @given(st.lists(st.tuples(measurements, texts), max_size=4))
    def test_gives_a_key_and_a_name_with_labels_to_each_series_alone(self, sent):
        keys, names = {}, {}
        for measurement, prefix in sent:
            fields = list_fields(measurement, prefix)
            for wording, (name, key, _value) in zip(
                series(measurement, prefix), fields, strict=True
            ):
                assert keys.setdefault(key, wording) == wording
                found = series_of_key(key)
                assert (found.key, found.name) == (key, name)
                full = canonical_name([("__name__", name), *found.labels])
                if isinstance(full, str):
                    assert full != name
                    assert names.setdefault(full, wording) == wording
        assert len(keys) == len({wording for one in sent for wording in series(*one)})


class TestParsePost:
    def test_reads_a_batch_and_reports_what_is_no_number_by_its_measurement(self):
        system = {
            "name": "system",
            "tags": {"host": "web.1"},
            "fields": {"uptime_format": "1 day", "up": True, "load1": 0.5},
            "timestamp": AT,
        }
        body = json.dumps({"metrics": [CPU, system, {"name": "x"}]}).encode()
        found = parse_post(body, is_telegraf=True)
        assert [(point.item, point.metric) for point in found.live] == [
            (0, "web_1.cpu-total.cpu.usage_idle"),
            (0, "web_1.cpu-total.cpu.usage_user"),
            (1, "web_1.system.load1"),
        ]
        assert [(refusal.index, refusal.metric) for refusal in found.refusals] == [
            (1, "web_1.system.uptime_format"),
            (1, "web_1.system.up"),
            (2, ""),
        ]
        assert found.count == 6

    def test_reads_one_measurement_alone(self):
        found = parse_post(json.dumps(CPU).encode(), is_telegraf=True)
        assert len(found.live) == 2
