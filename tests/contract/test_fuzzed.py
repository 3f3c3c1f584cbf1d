"""Every documented operation asked with thousands of made-up requests, good ones and bad ones.

Nothing may fail on our side, and each answer is one that the description foresees: its status, its
type, its shape. In half of the requests, what names a thing names one that is really there.

Making up a request costs more than answering it, so each one is sent twice: with a session to one
product, and with a token to another one.
"""

from collections import Counter
from contextlib import ExitStack

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from tests.kit.tenants import Product, open_product

# Made up for each operation; half of them are valid.
EXAMPLES = 8
# By both callers and of both methods.
REQUESTS_MIN = 2_000
SEED = 20_261_121
# Of all operations, how many have to have answered well at least once: the others want what cannot
# be made up, such as a code from a mail.
ANSWERED_SHARE_MIN = 0.5
# So many good replies of an operation are asked for again without a credential and with an invalid
# one; `test_access.py` and `test_roles.py` try every route with every kind of caller.
AUTH_PROBED = 1

schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")
checks.load_all_checks()
WITHOUT = {
    # Windows that end before they begin are in every shape and still refused.
    "positive_data_acceptance",
    # Forms know texts only, so `true` and `12` are taken as texts in JSON, too.
    "negative_data_rejection",
}


@pytest.fixture
def callers(migrated_sqlite_file, tmp_path):
    """Return a caller with a session and one with a token, each with a product of its own."""
    with ExitStack() as products:
        made = []
        for by in ("session", "token"):
            data_dir = tmp_path / by
            data_dir.mkdir()
            path = data_dir / "meta.db"
            path.write_bytes(migrated_sqlite_file.read_bytes())
            product = products.enter_context(open_product(f"sqlite:///{path}", data_dir))
            made.append(Caller(product, by))
        yield made


class Caller:
    """Sends requests to a product with one kind of credential, and counts the replies."""

    def __init__(self, product: Product, by: str) -> None:
        self.product = product
        self.by = by
        self.answered: Counter[str] = Counter()
        self.requested: Counter[str] = Counter()
        self._number = 0
        self._headers: dict[str, str] = {}

    def renew_credential(self) -> None:
        """Use another owner's session or another token: a request may have ended the last one."""
        session_id, token = self.product.fresh_owner()
        headers = {"session": {"X-Session-Id": session_id}, "token": {"X-Auth-Token": token}}
        # The client of this library does not decompress replies.
        self._headers = {**headers[self.by], "Accept-Encoding": "identity"}

    def send(self, operation, case) -> None:
        """Send the case, and fail unless the reply is as described."""
        self._number += 1
        if self._number % 2:
            self._name_real_things(operation, case)
        without = set(WITHOUT)
        if (
            self.by == "token"
            or is_change_by_get(operation)
            or self.answered[operation.label] >= AUTH_PROBED
        ):
            # Beside a token the made-up session id is no credential at all; and a GET that changes
            # something is refused for an anonymous caller with 405, whatever it presents.
            without.add("ignored_auth")
        if operation.path == "/org/export":
            # One at a time until the download is over; the client here never closes it.
            without.add("not_a_server_error")
        reply = case.call_and_validate(
            app=self.product.app,
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


def send_by_all(callers: list[Caller], operation) -> None:
    """Make up requests of an operation, valid and invalid ones, and let each caller send them."""
    for caller in callers:
        caller.renew_credential()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @seeded(SEED)
        @settings(
            max_examples=EXAMPLES // 2,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def each(case) -> None:
            for caller in callers:
                caller.send(operation, case)

        try:
            each()
        except Unsatisfiable:
            # A route that takes nothing cannot be sent anything invalid.
            assert mode is GenerationMode.NEGATIVE


def is_change_by_get(operation) -> bool:
    schemes = {name for choice in operation.definition.raw["security"] for name in choice}
    return operation.method == "get" and bool(schemes) and "session_cookie" not in schemes


@pytest.mark.slow
class TestOperations:
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_answer_as_described_whatever_is_sent(self, callers, method):
        schema = schemathesis.openapi.from_wsgi("/doc/openapi", callers[0].product.app)
        wanted = [
            found.ok() for found in schema.get_all_operations() if found.ok().method == method
        ]
        for operation in wanted:
            send_by_all(callers, operation)
        for caller in callers:
            assert set(caller.requested) == {operation.label for operation in wanted}
            assert caller.requested.total() >= REQUESTS_MIN / 4
            answered = [label for label, times in caller.answered.items() if times]
            if caller.by == "session":
                assert len(answered) >= ANSWERED_SHARE_MIN * len(wanted), sorted(answered)
