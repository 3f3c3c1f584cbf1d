"""Every documented operation asked with thousands of made-up requests, good ones and bad ones.

Nothing may fail on our side, and each answer is one that the description foresees: its status, its
type, its shape. In half of the requests, what names a thing names one that is really there.
"""

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from tests.kit.tenants import Product, open_product

EXAMPLES = 8
# Over the four parts of the test.
EXAMPLES_MIN = 2_000
SEED = 20_261_121
# Of all operations, how many have to have answered well at least once: the others want what cannot
# be made up, such as a code from a mail.
ANSWERED_SHARE_MIN = 0.5

schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")
checks.load_all_checks()
WITHOUT = {
    # Windows that end before they begin are in every shape and still refused.
    "positive_data_acceptance",
    # Forms know texts only, so `true` and `12` are taken as texts in JSON, too.
    "negative_data_rejection",
}


@pytest.fixture
def product(migrated_sqlite_file, tmp_path):
    path = tmp_path / "meta.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with open_product(f"sqlite:///{path}", tmp_path) as opened:
        yield opened


class Asker:
    """Calls one operation after the other, and counts the replies."""

    def __init__(self, product: Product, by: str) -> None:
        self.product = product
        self.by = by
        self.answered: Counter[str] = Counter()
        self.requested: Counter[str] = Counter()
        self._number = 0
        self._headers: dict[str, str] = {}

    def ask(self, operation) -> None:
        # A request may delete its caller, sign it out or make it a viewer.
        session_id, token = self.product.fresh_owner()
        headers = {"session": {"X-Session-Id": session_id}, "token": {"X-Auth-Token": token}}
        # The client of this library does not decompress replies.
        self._headers = {**headers[self.by], "Accept-Encoding": "identity"}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            self._ask_in(mode, operation)

    def _ask_in(self, mode: GenerationMode, operation) -> None:
        @seeded(SEED)
        @settings(
            max_examples=EXAMPLES // 2,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case) -> None:
            self._ask_case(operation, case)

        try:
            each()
        except Unsatisfiable:
            # A route that takes nothing cannot be asked for it wrongly.
            assert mode is GenerationMode.NEGATIVE

    def _ask_case(self, operation, case) -> None:
        self._number += 1
        if self._number % 2:
            self._name_real_things(operation, case)
        without = set(WITHOUT)
        if self.by == "token" or is_change_by_get(operation):
            # Beside a token the made-up session id is no credential at all; and a GET that changes
            # something is refused for an anonymous caller with 405, whatever it presents.
            without.add("ignored_auth")
        if operation.path == "/org/export":
            # One at a time until the download is over; the client here never closes it.
            without.add("not_a_server_error")
        reply = case.call_and_validate(
            headers=self._headers,
            excluded_checks=[
                check for check in checks.CHECKS.get_all() if check.__name__ in without
            ],
        )
        self.requested[operation.label] += 1
        self.answered[operation.label] += reply.status_code < 300

    def _name_real_things(self, operation, case) -> None:
        """Let what names a thing name one of Acme's, wherever the case has a place for it."""
        raw = operation.definition.raw
        for parameter in raw.get("parameters", ()):
            place = case.path_parameters if parameter["in"] == "path" else case.query
            self._name(place, parameter["name"], parameter["schema"])
        contents = raw.get("requestBody", {}).get("content", {})
        schema = contents.get(case.media_type, {}).get("schema", {})
        for name, field in schema.get("properties", {}).items():
            self._name(case.body, name, field)

    def _name(self, place, name, schema) -> None:
        kind = schema.get("x-names")
        if kind and isinstance(place, dict) and name in place:
            place[name] = self.product.acmes[kind]


def is_change_by_get(operation) -> bool:
    schemes = {name for choice in operation.definition.raw["security"] for name in choice}
    return operation.method == "get" and bool(schemes) and "session_cookie" not in schemes


@pytest.mark.slow
class TestOperations:
    @pytest.mark.parametrize("method", ["get", "post"])
    @pytest.mark.parametrize("by", ["session", "token"])
    def test_answer_as_described_whatever_is_sent(self, product, by, method):
        schema = schemathesis.openapi.from_wsgi("/doc/openapi", product.app)
        caller = Asker(product, by)
        wanted = [
            found.ok() for found in schema.get_all_operations() if found.ok().method == method
        ]
        for operation in wanted:
            caller.ask(operation)
        assert set(caller.requested) == {operation.label for operation in wanted}
        assert caller.requested.total() >= EXAMPLES_MIN / 4
        answered = [label for label, times in caller.answered.items() if times]
        if by == "session":
            assert len(answered) >= ANSWERED_SHARE_MIN * len(wanted), sorted(answered)
