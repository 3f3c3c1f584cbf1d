from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from anomify.clock import now
from anomify.native import misc
from tests.kit.web import error, make_app, strict


@pytest.fixture
def client(database, tmp_path):
    app = make_app(database, tmp_path, [misc.blueprint])
    yield app.test_client()
    app.extensions["anomify"].points.close()


def requested(client, path, **query):
    first = client.get(path, query_string=query)
    assert first.status_code == 200, first.text
    reply = client.get(path, query_string=query)
    assert reply.cache_control.no_store
    assert "Set-Cookie" not in reply.headers
    assert strict(reply)["status"]["session_id"] == strict(first)["status"]["session_id"]
    return strict(reply)["data"]


class TestPhoneCodes:
    def test_are_those_of_every_country(self, client):
        found = requested(client, "/misc/phonecodes")["phonecodes"]
        by_iso = {one["iso"]: one for one in found}
        assert by_iso["DE"] == {"country": "Germany", "iso": "DE", "code": "+49"}
        assert by_iso["GB"]["code"] == "+44"
        assert len(found) == len(by_iso) > 240
        assert found[0]["country"] == "Afghanistan"


class TestTimezones:
    def test_are_those_of_countries_and_utc(self, client):
        found = requested(client, "/misc/timezones")["timezones"]
        assert found[0] == {"name": "UTC", "country": None, "iso": None, "utc_offset": 0}
        [berlin] = [one for one in found if one["name"] == "Europe/Berlin"]
        assert (berlin["country"], berlin["iso"]) == ("Germany", "DE")
        offset = now().astimezone(ZoneInfo("Europe/Berlin")).utcoffset()
        assert berlin["utc_offset"] == offset.total_seconds()
        assert len({one["name"] for one in found}) == len(found) > 400


class TestTimeSince:
    @pytest.mark.parametrize(
        ("elapsed", "words"),
        [
            (timedelta(days=14, hours=1), "2 weeks ago"),
            (timedelta(hours=5, minutes=1), "5 hours ago"),
            (timedelta(days=-3, minutes=-1), "in 3 days"),
            (timedelta(days=800), "2 years ago"),
        ],
    )
    def test_returns_one_unit(self, client, elapsed, words):
        then = (now() - elapsed).timestamp()
        assert requested(client, "/misc/timesince", timestamp=then) == {"timesince": words}

    @pytest.mark.parametrize("sent", [{}, {"timestamp": "soon"}, {"timestamp": 1e13}])
    def test_needs_a_moment(self, client, sent):
        reply = client.get("/misc/timesince", query_string=sent)
        assert reply.status_code == 400
        assert set(error(reply)["fields"]) == {"timestamp"}
