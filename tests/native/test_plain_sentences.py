"""No error about a parameter contains the validator's own message."""

import json
import re

import pytest

from anomify.edge.contract import declared_routes
from anomify.edge.parameters import read_inputs
from anomify.errors import Invalid, NotFound
from tests.kit.tenants import open_product

# Wording of the validation library, and its names of places that no sender uses.
RAW = re.compile(
    r"Input should|Value error|valid |literal\[|function-|constrained|_parsing|_type\b|\[key\]"
    r"|URL_|pattern '"
)
NONSENSE = ["", "x", "[", "[1", '["a', "1.5.2", "-1", "9" * 40, "nan", "\N{SNOWMAN}" * 9000]
NONSENSE_JSON = [None, True, 1.5, -1, 10**18, [], [None], [[1]], {"a": 1}, [{"a": [1]}], ["x"] * 99]


@pytest.fixture(scope="module")
def product(migrated_sqlite_file, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sentences")
    path = directory / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", directory) as opened:
        yield opened


def refusals(product, route, name):
    """What a route says of nonsense in one of its parameters, in a query and as JSON."""
    requests = [{"query_string": {name: value}} for value in NONSENSE]
    requests += [{"json": {name: value}, "method": "POST"} for value in NONSENSE_JSON]
    for request in requests:
        with product.app.test_request_context("/", **request):
            try:
                read_inputs(route.inputs, {}, refuses_unknown=route.changes)
            except NotFound:
                continue
            except Invalid as error:
                yield request, error


class TestEveryParameter:
    def test_is_refused_by_its_name_and_in_a_plain_sentence(self, product):
        result = 0
        for route in declared_routes(product.app).values():
            for own_name, field in (route.inputs.model_fields if route.inputs else {}).items():
                name = field.serialization_alias or own_name
                for request, error in refusals(product, route, name):
                    result += 1
                    text = json.dumps([error.message, *error.fields, *error.fields.values()])
                    assert not RAW.search(text), (route.rule, request, text)
                    known = {name, "parameters"} | {
                        other.serialization_alias or key
                        for key, other in route.inputs.model_fields.items()
                    }
                    named = {spelled.split(".")[0] for spelled in error.fields}
                    assert named <= known, (route.rule, request)
        assert result > 2_000
