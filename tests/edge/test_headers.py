"""The headers of every reply."""

from anomify.edge.headers import HEADERS


class TestEveryReply:
    def test_carries_them_whatever_it_is(self, client, cast):
        replies = [
            client.get("/probe/public"),
            client.get("/probe/viewer", headers=cast.headers("bob")),
            client.get("/probe/viewer"),
            client.get("/nothing"),
            client.get("/probe/failure"),
            client.options("/probe/viewer"),
            client.get("/static/nothing.js"),
        ]
        for reply in replies:
            for name, value in HEADERS.items():
                assert reply.headers[name] == value
            assert reply.headers["Cache-Control"]
            assert "Strict-Transport-Security" not in reply.headers
            assert "Access-Control-Allow-Origin" not in reply.headers

    def test_with_a_session_in_it_is_kept_by_no_cache(self, client):
        reply = client.get("/probe/anyone")
        assert reply.headers["Cache-Control"] == "no-store"
        assert {"Cookie", "X-Session-Id"} <= set(reply.vary)

    def test_has_an_id_of_its_own_that_no_caller_chooses(self, client):
        ids = {
            client.get("/probe/public", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"]
            for _ in range(3)
        }
        assert len(ids) == 3
        assert "mine" not in ids
