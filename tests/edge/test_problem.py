"""Failures: reported in one shape, without internals, and logged once."""

import logging

from anomify.edge import problem
from tests.kit.web import error, strict


class TestShape:
    def test_every_way_to_fail_has_the_envelope_and_the_requests_id(self, client, cast):
        bob = cast.headers("bob")
        ways = {
            (400, "invalid"): client.get("/probe/viewer?count=x", headers=bob),
            (401, "unauthenticated"): client.get("/probe/viewer"),
            (403, "denied"): client.get("/probe/admin", headers=bob),
            (404, "not_found"): client.get("/nothing/here"),
            (405, "method_not_allowed"): client.delete("/probe/viewer"),
            (413, "too_large"): client.post("/probe/viewer", data=b"x" * 1_048_577, headers=bob),
            (415, "unsupported_media_type"): client.post(
                "/probe/viewer", data=b"<a/>", content_type="text/xml", headers=bob
            ),
            (500, "internal_error"): client.get("/probe/failure"),
        }
        for (status, code), reply in ways.items():
            assert reply.status_code == status, code
            assert error(reply)["code"] == code
            assert set(error(reply)) == {"code", "message", "fields"}
            assert reply.headers["X-Request-Id"]
        assert set(ways[405, "method_not_allowed"].headers["Allow"].split(", ")) == {
            "GET",
            "HEAD",
            "OPTIONS",
            "POST",
        }

    def test_the_caller_is_known_even_with_an_unreadable_body(self, client, cast):
        reply = client.post(
            "/probe/viewer",
            data="{",
            content_type="application/json",
            headers=cast.headers("bob"),
        )
        assert reply.status_code == 400
        assert strict(reply)["status"]["session_id"] == cast.sessions["bob"]

    def test_trace_is_off(self, client):
        assert client.open("/probe/viewer", method="TRACE").status_code == 405


class TestUnforeseen:
    def test_shows_the_request_id_and_no_internals_and_is_logged_once(self, client, caplog):
        with caplog.at_level(logging.ERROR):
            reply = client.get("/probe/failure")
        request_id = reply.headers["X-Request-Id"]
        assert request_id in error(reply)["message"]
        assert "secret of the server" not in reply.text
        assert "Traceback" not in reply.text
        logged = [record for record in caplog.records if record.name == problem.__name__]
        assert [request_id in record.getMessage() for record in logged] == [True]

    def test_the_database_being_away_is_a_503_that_may_be_tried_again(
        self, client, database, tmp_path, caplog
    ):
        database.dispose()
        (tmp_path / "meta.db").unlink()
        (tmp_path / "meta.db").mkdir()
        reply = client.get("/probe/viewer", headers={"X-Session-Id": "f" * 32})
        assert reply.status_code == 503
        assert reply.headers["Retry-After"]
        assert error(reply)["code"] == "unavailable"
        assert "SELECT" not in reply.text + caplog.text
