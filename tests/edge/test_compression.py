"""Compressed replies: which ones, with which headers, and which ones never."""

import gzip
from functools import partial

import pytest
from flask import Response, request

LONG = b"abcdefgh" * 500
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
OWN_PAGE = {"Cookie": "session_id=x", "Sec-Fetch-Site": "same-origin"}
OTHER_SITE = {"Cookie": "session_id=x", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture
def client(app):
    def view():
        reply = Response(LONG[: int(request.args["size"])], mimetype=request.args["type"])
        reply.set_etag("tag")
        return reply.make_conditional(request)

    app.add_url_rule("/sample", "sample", view)
    app.add_url_rule("/stream", "stream", lambda: Response(iter([LONG]), mimetype="text/html"))
    return app.test_client(use_cookies=False)


def ask(client, headers, media="text/html", size=4000):
    return client.get("/sample", query_string={"type": media, "size": size}, headers=headers)


class TestCompression:
    def test_is_for_texts_of_some_size_that_the_client_takes(self, client):
        for media in ("text/html", "application/json", "text/css", "text/javascript"):
            reply = ask(client, GZIP, media)
            assert reply.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(reply.data) == LONG
            assert int(reply.headers["Content-Length"]) == len(reply.data) < len(LONG)
            assert "Accept-Encoding" in reply.vary
            assert reply.get_etag() == ("tag", True)
        for reply in (
            ask(client, {}),
            ask(client, {"Accept-Encoding": "gzip;q=0, br"}),
            ask(client, {"Accept-Encoding": "identity"}),
            ask(client, GZIP, size=1023),
            ask(client, GZIP, "image/png"),
        ):
            assert "Content-Encoding" not in reply.headers
            assert reply.get_etag() == ("tag", False)
        # Caches must keep both kinds apart, whichever they saw first.
        assert "Accept-Encoding" in ask(client, {}).vary
        assert client.get("/stream", headers=GZIP).data == LONG

    def test_leaves_conditional_requests_as_they_are(self, client):
        for tag in ('W/"tag"', '"tag"'):
            reply = ask(client, {**GZIP, "If-None-Match": tag})
            assert (reply.status_code, reply.data) == (304, b"")
            assert "Accept-Encoding" in reply.vary
            assert "Content-Encoding" not in reply.headers

    def test_head_has_the_headers_of_get(self, client):
        result = client.head("/sample?type=text/html&size=4000", headers=GZIP)
        assert result.headers["Content-Encoding"] == "gzip"
        assert result.data == b""

    def test_gives_nothing_of_a_session_away_by_its_length(self, client):
        is_compressed = {
            (media, site): "Content-Encoding" in ask(client, GZIP | headers, media).headers
            for media in ("text/html", "application/json")
            for site, headers in (
                ("own", OWN_PAGE),
                ("other", OTHER_SITE),
                ("unknown", {"Cookie": "session_id=x"}),
            )
        }
        assert [each for each, found in is_compressed.items() if found] == [("text/html", "own")]


class TestStaticFiles:
    def test_have_addresses_that_change_with_their_content(self, app, client):
        get = partial(client.get, buffered=True)
        with app.test_request_context():
            address = app.url_for("static", filename="css/base.css")
        content = get("/static/css/base.css").data
        named = get(address)
        assert named.data == content
        assert named.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        # Scripts name each other relative to their own address.
        folder = address.rsplit("/", 2)[0]
        assert get(f"{folder}/js/numbers.js").headers["Cache-Control"].endswith("immutable")
        for other in ("/static/css/base.css", f"/static/{'0' * 16}/css/base.css"):
            reply = get(other)
            assert (reply.data, reply.headers["Cache-Control"]) == (content, "no-cache")
            again = get(other, headers={"If-None-Match": reply.headers["ETag"]})
            assert again.status_code == 304
        for other in ("/static/nothing.js", f"{folder}/nothing.js", f"{folder}/../../app.py"):
            assert get(other).status_code == 404

    def test_are_compressed_once_for_each_encoding(self, client):
        get = partial(client.get, buffered=True)
        content = get("/static/css/base.css").data
        for accepted, encoding in (("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0, gzip", "gzip")):
            reply = get("/static/css/base.css", headers={"Accept-Encoding": accepted})
            assert reply.headers["Content-Encoding"] == encoding
            assert len(reply.data) < len(content) / 2
            if encoding == "gzip":
                assert gzip.decompress(reply.data) == content
            tag = reply.headers["ETag"]
            assert tag.startswith("W/")
            again = get(
                "/static/css/base.css", headers={"Accept-Encoding": accepted, "If-None-Match": tag}
            )
            assert again.status_code == 304
        part = get("/static/css/base.css", headers={**GZIP, "Range": "bytes=0-9"})
        assert (part.status_code, part.data) == (206, content[:10])
        picture = get("/static/img/favicon-32.png", headers=GZIP)
        assert "Content-Encoding" not in picture.headers
