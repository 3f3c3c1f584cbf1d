"""Bodies as large as Telegraf's are taken, however well or badly they compress."""

import gzip
import json
import random

import pytest

from anomify.ingest.wire import BODY_BYTES_MAX
from tests.kit.clock import LONG_AGO_SECONDS

POST = "/flux/metric_data_post"
AT = LONG_AGO_SECONDS
# The fields of Telegraf's cpu input.
FIELDS = (
    *("usage_user", "usage_system", "usage_idle", "usage_active", "usage_nice", "usage_iowait"),
    *("usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice"),
)


def measurement(at, fields, cpu="cpu0", host="web-1.example.com"):
    tags = {"host": host, "cpu": cpu}
    return {"fields": fields, "name": "cpu", "tags": tags, "timestamp": at}


def send(api, document, *, is_gzip):
    body = json.dumps(document).encode()
    headers = {"Content_Encoding": "gzip"} if is_gzip else {}
    body = gzip.compress(body) if is_gzip else body
    return api.post(POST, body, telegraf="true", Content_Type="application/json", **headers)


class TestTelegraf:
    @pytest.mark.parametrize("is_gzip", [False, True])
    def test_a_usual_batch_is_taken(self, api, is_gzip):
        """1,000 measurements of 11 fields, as Telegraf sends them out of the box."""
        metrics = [
            measurement(AT + number, {field: random.Random(number).random() for field in FIELDS})
            for number in range(1_000)
        ]
        assert send(api, {"metrics": metrics}, is_gzip=is_gzip).status_code == 204
        [name] = [name for name in api.names() if name.endswith("usage_guest_nice")]
        assert len(api.stored(name)) == 1_000

    def test_a_batch_that_compresses_a_hundredfold_is_taken(self, api):
        metrics = [measurement(AT, dict.fromkeys(FIELDS, 0)) for _ in range(1_000)]
        body = json.dumps({"metrics": metrics}).encode()
        assert len(body) > 100 * len(gzip.compress(body))
        assert send(api, {"metrics": metrics}, is_gzip=True).status_code == 204

    @pytest.mark.parametrize("is_gzip", [False, True])
    def test_rows_of_more_than_a_mebibyte_are_taken(self, api, is_gzip):
        metrics = [measurement(AT + number, {"v": 1}, host="h" * 400) for number in range(1_000)]
        for row in metrics:
            row["tags"]["note"] = "n" * 45
            row["comment"] = "c" * 900
        assert len(json.dumps(metrics)) > 1_290_000
        assert send(api, {"metrics": metrics}, is_gzip=is_gzip).status_code == 204

    def test_ninety_nine_thousand_points_are_taken(self, api):
        fields = {f"f{number}": number for number in range(99)}
        metrics = [measurement(AT + number, fields) for number in range(1_000)]
        assert send(api, {"metrics": metrics}, is_gzip=True).status_code == 204
        assert len(api.names()) == 99

    def test_a_body_just_below_the_limit_is_stored_and_a_larger_one_refused(self, api):
        item = json.dumps({"metric": "m", "timestamp": AT, "value": 1}).encode()
        for body in (
            item.rjust(BODY_BYTES_MAX),
            b"[" + item + b" " * (BODY_BYTES_MAX - 100) + b"]",
        ):
            assert api.post(POST, body).status_code == 204
            assert (
                api.post(POST, gzip.compress(body, 1), Content_Encoding="gzip").status_code == 204
            )
        beyond = item.rjust(BODY_BYTES_MAX + 1)
        for body, headers in (
            (beyond, {}),
            (gzip.compress(beyond, 1), {"Content_Encoding": "gzip"}),
            (gzip.compress(bytes(512 * 1024 * 1024), 1), {"Content_Encoding": "gzip"}),
        ):
            reply = api.post(POST, body, **headers)
            assert reply.status_code == 413
            assert "33,554,432" in reply.json["message"]
            assert "several requests" in reply.json["message"]
