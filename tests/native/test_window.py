"""Every route with a time window validates times alike, with the same errors."""

import json

import pytest

from tests.kit.tenants import open_product

# Long ago in milliseconds is far away in seconds.
MILLISECONDS = 1_795_176_000_000
MISTAKES = [
    ({"from": 9, "until": 5}, "from", "from must lie before until."),
    ({"from": 5, "until": 5}, "from", "from must lie before until."),
    ({"from": 9_999_999_999}, "from", "from lies ahead of now"),
    ({"until": 0}, "until", "until must lie after 1970"),
    ({"from": MILLISECONDS}, "from", "milliseconds"),
    ({"until": MILLISECONDS}, "until", "milliseconds"),
    ({"from": -1}, "from", "Unix seconds are needed"),
    ({"until": "nan"}, "until", "Unix seconds are needed"),
    ({"from": "yesterday"}, "from", "A number is needed."),
]


@pytest.fixture(scope="module")
def product(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("window")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        yield opened


def timed(product):
    """The addresses of all operations that take a window, with a metric where they want one."""
    document = json.loads(product.client.get("/doc/openapi").text)
    for path, methods in document["paths"].items():
        named = {parameter["name"] for parameter in methods.get("get", {}).get("parameters", ())}
        # A silence is about what is to come.
        is_of_past = not path.startswith("/silence")
        if {"from", "until"} <= named and "{" not in path and is_of_past:
            yield path, {"metric": product.acmes["metric"]} if "metric" in named else {}


class TestWindows:
    @pytest.mark.parametrize(("wrong", "field", "sentence"), MISTAKES)
    def test_are_refused_alike_everywhere(self, product, wrong, field, sentence):
        alice = product.cast.headers("alice")
        requested = list(timed(product))
        assert len(requested) > 10
        for path, rest in requested:
            reply = product.client.get(path, query_string={**rest, **wrong}, headers=alice)
            assert reply.status_code == 400, path
            error = reply.json["status"]["error"]
            assert sentence in error["fields"][field], path
            assert sentence in error["message"], path

    def test_may_be_given_in_every_form(self, product):
        """The long names are the same parameters, and both at once have to agree."""
        alice = product.cast.headers("alice")
        reply = product.client.get("/anomalies?from_timestamp=9&until_timestamp=5", headers=alice)
        assert reply.status_code == 400
        reply = product.client.get("/anomalies?from=9&from_timestamp=9", headers=alice)
        assert reply.status_code == 200


class TestLists:
    def test_share_limit_offset_and_total(self, product):
        document = json.loads(product.client.get("/doc/openapi").text)
        alice = product.cast.headers("alice")
        listed = 0
        for path, methods in document["paths"].items():
            operation = methods.get("get", {})
            named = {
                parameter["name"]: parameter["schema"]
                for parameter in operation.get("parameters", ())
            }
            if "offset" not in named or "{" in path:
                continue
            assert named["limit"]["maximum"] <= 500, path
            assert named["limit"]["minimum"] == 1, path
            for wrong in ({"limit": 0}, {"limit": 501}, {"offset": -1}):
                reply = product.client.get(
                    path, query_string={"metric": product.acmes["metric"], **wrong}, headers=alice
                )
                assert reply.status_code == 400, (path, wrong)
            reply = product.client.get(
                path, query_string={"metric": product.acmes["metric"], "limit": 1}, headers=alice
            )
            assert reply.status_code == 200, path
            assert "total" in reply.json["data"], path
            listed += 1
        assert listed > 8
