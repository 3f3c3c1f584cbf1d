import json

import pytest

from anomify.protocol.flux import parse_post
from anomify.protocol.telegraf import list_fields

AT = 1_790_000_000
CPU = {
    "name": "cpu",
    "tags": {"host": "web.1", "cpu": "cpu-total"},
    "fields": {"usage_idle": 97.5, "usage_user": 2},
    "timestamp": AT,
}


class TestListFields:
    def test_names_host_tags_measurement_and_field(self):
        assert list_fields(CPU) == [
            ("web_1.cpu-total.cpu.usage_idle", 97.5),
            ("web_1.cpu-total.cpu.usage_user", 2),
        ]

    def test_takes_tags_in_the_order_of_their_names(self):
        item = {"name": "disk", "tags": {"path": "/var", "device": "sda1"}, "fields": {"free": 1}}
        assert list_fields(item) == [("sda1.-var.disk.free", 1)]

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
        ],
    )
    def test_says_why_a_measurement_cannot_be_read(self, item, reason):
        assert reason in list_fields(item)


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
