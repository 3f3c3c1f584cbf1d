"""The description is whole and true: every route is in it, every field says what it is for."""

import csv
import json
import re
from pathlib import Path

import pytest

from anomify.edge.contract import declared_routes

REVIEWED = Path(__file__).parent.parent / "data" / "access.csv"
# Addresses of later parts, and undocumented routes that some list of the original names.
NOT_BUILT = [
    *("/login/DEBUG", "/login DEBUG", "/login%20DEBUG", "/login/debug", "/loginDEBUG"),
    *("/login/100", "/login/1069", "/login/STAGE", "/login/stage", "/login/DEBUG/100"),
    *("/login%20DEBUG%20100", "/login%20DEBUG%201069", "/login%20DEBUG%20STAGE"),
    *("/login/DEBUG%20100", "/login/DEBUG-100", "/login_debug_100", "/login/debug/stage"),
]
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture(scope="module")
def product(described_product):
    return described_product


@pytest.fixture(scope="module")
def document(product):
    reply = product.client.get("/doc/openapi")
    assert reply.status_code == 200
    return json.loads(reply.text)


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


class TestDocument:
    def test_has_every_route_that_is_no_page_and_no_other(self, product, document):
        declared = {
            (_PLACEHOLDER.sub(r"{\1}", rule), method.lower())
            for route in declared_routes(product.app).values()
            if not route.is_page
            for rule in route.rules
            for method in route.methods
        }
        described = {
            (path, method) for path, methods in document["paths"].items() for method in methods
        }
        assert described == declared

    def test_has_the_addresses_of_the_reviewed_table(self, product, document):
        with REVIEWED.open() as file:
            reviewed = {row["rule"] for row in csv.DictReader(file)}
        pages = {
            rule
            for route in declared_routes(product.app).values()
            if route.is_page
            for rule in route.rules
        }
        shown = {_PLACEHOLDER.sub(r"{\1}", rule) for rule in reviewed - pages}
        assert set(document["paths"]) == shown
        assert all(rule.startswith(("/ui", "/doc", "/login/oidc")) for rule in pages - {"/"})

    def test_describes_every_element(self, document):
        silent = []
        for label, operation in operations(document):
            if not operation["summary"].endswith("."):
                silent.append(f"{label}: its summary")
            silent += [
                f"{label}: {parameter['name']}"
                for parameter in operation.get("parameters", ())
                if not parameter["description"]
            ]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                silent += [
                    f"{label}: {name}"
                    for name, field in content["schema"].get("properties", {}).items()
                    if not field.get("description")
                ]
        for name, schema in document["components"]["schemas"].items():
            silent += [
                f"{name}.{field}"
                for field, inner in schema.get("properties", {}).items()
                if not inner.get("description")
            ]
        assert silent == [], "give it a Field(description=...)"

    def test_refers_to_nothing_that_is_not_there(self, document):
        text = json.dumps(document)
        for kind, name in set(re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', text)):
            assert name in document["components"][kind]
        identifiers = [operation["operationId"] for _, operation in operations(document)]
        assert len(identifiers) == len(set(identifiers))
        assert all(tag["description"] for tag in document["tags"])

    def test_is_not_sent_again_to_a_client_that_has_it(self, product):
        first = product.client.get("/doc/openapi")
        assert first.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
        again = product.client.get("/doc/openapi", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


class TestWhatIsNotBuilt:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_is_nowhere(self, product, document, method):
        alice = product.cast.headers("alice")
        for path in NOT_BUILT:
            for headers in (alice, {}):
                reply = product.client.open(path, method=method, headers=headers)
                # An anonymous caller must not learn which metrics exist.
                expected = {404} if headers or not path.startswith("/metric/") else {401}
                assert reply.status_code in expected, path
                code = reply.json["status"]["error"]["code"]
                assert code in {"not_found", "unauthenticated"}, path
        text = " ".join(document["paths"]).lower()
        assert not re.search(r"debug|stage\b", text)
