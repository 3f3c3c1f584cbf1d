"""A header that selects something and cannot be read is refused, whichever server reads it."""

import json

import pytest

from anomify.ingest.wire import SELECTING_HEADERS
from tests.kit.clock import LONG_AGO_SECONDS
from tests.kit.remote_write import body_1, series, snappy

AT = LONG_AGO_SECONDS
# Granian leaves an empty text of what is not ASCII; other servers make Latin-1 of it.
UNREADABLE = ("", "\u00fc", "\u00c3\u00bc", "web\u00a01", "\u00ff\u00fe")


@pytest.mark.parametrize("name", SELECTING_HEADERS)
def test_is_refused_and_named_at_every_route(api, name):
    item = json.dumps({"metric": "m", "timestamp": AT, "value": 1, "key": api.token})
    sample = snappy(body_1(series({"__name__": "m"}, (AT * 1000, 1.0))))
    query = f"?key={api.token}&metric=m&timestamp={AT}&value=1"
    for value in UNREADABLE:
        headers = {name: value}
        for reply in (
            api.client.post("/flux/metric_data_post", data=item, headers=headers),
            api.client.post("/flux/prometheus/write", data=sample, headers=headers),
            api.client.post("/api/v1/write", data=sample, headers=headers),
            api.client.get(f"/flux/metric_data{query}", headers=headers),
        ):
            assert reply.status_code == 400
            assert reply.json["code"] == "header_unreadable"
            assert list(reply.json["fields"]) == [name]
            assert name in reply.json["message"]
    assert api.names() == []


def test_is_taken_as_it_is_where_it_can_be_read(api):
    item = {"name": "cpu", "fields": {"f": 1}, "timestamp": AT}
    for prefix, server in (("a", "1"), ("b", "1"), ("a", "2"), ("a", "%C3%BC")):
        reply = api.post(
            "/flux/metric_data_post",
            json.dumps({"metrics": [item]}),
            telegraf="true",
            prefix=prefix,
            x_server_id=server,
        )
        assert reply.status_code == 204
    assert len(api.names()) == 4
