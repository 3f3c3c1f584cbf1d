"""The documentation's pages: public, listed, and one for each group that has a route."""

import re

import pytest

from tests.kit.tenants import open_product


@pytest.fixture(scope="module")
def client(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("doc")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as product:
        yield product.client


class TestPages:
    @pytest.mark.parametrize("path", ["/doc", "/doc/", "/doc/guide", "/doc/detection"])
    def test_are_public_and_start_no_session(self, client, path):
        reply = client.get(path)
        assert (reply.status_code, reply.mimetype) == (200, "text/html")
        assert "Set-Cookie" not in reply.headers

    def test_link_to_each_other(self, client):
        links = set(re.findall(r'href="(/doc[^"#]*)"', client.get("/doc/guide").text))
        assert {"/doc/guide/metric", "/doc/guide/errors", "/doc/openapi"} <= links
        for link in links:
            page = client.get(link)
            assert page.status_code == 200, link
            for further in set(re.findall(r'href="(/doc[^"#]*)"', page.text)):
                assert client.get(further).status_code == 200, (link, further)

    @pytest.mark.parametrize("page", ["segment", "nothing", "../base", "parts", "Metric"])
    def test_that_do_not_exist_are_not_found(self, client, page):
        assert client.get(f"/doc/guide/{page}").status_code == 404

    def test_list_every_address_of_their_group(self, client):
        text = client.get("/doc/guide/watcher").text
        for address in ("/watcher/create", "/watcher/{watcher_id}/undelete", "/watchers/chips"):
            assert f"<code>{address}</code>" in text
