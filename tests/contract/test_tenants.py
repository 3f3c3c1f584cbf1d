"""Acme's things, asked for on every route by everybody who is not of Acme, or not of that rank.

The tests are made of the declarations: every input that names a thing is asked for one of Acme's
and for one that does not exist. A new route with such an input is covered without a change
here; only a new kind of thing needs a planter, in tests/kit/tenants.py.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from sqlalchemy import select

from anomify.edge.access import INGEST, Access, is_at_least
from anomify.edge.contract import NAMES_KEY, Declared, declared_routes
from tests.kit.tenants import EXAMPLES, MARK, NOBODYS, NOBODYS_NUMBER, PERSONAL, PLANTERS, Product

# What differs between any two replies.
_CHANGING = re.compile(
    r'"(created_timestamp|created_string|duration|session_id|oldest_cached_component_age)":\s*("[^"]*"|[^,}]*)'
    r"|[0-9a-f]{16,64}|\d{10,13}|\d\d:\d\d(:\d\d)?"
)
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
# What an input that names a thing is called; one that only sounds so says names(None).
_SOUNDS_LIKE_A_NAME = re.compile(r"(^|_)(id|ids|uuid|alert_code|metric|metrics|name|names|event)$")
# Rows of the installation, not of an org; every request may change them.
_SHARED_TABLES = {"sessions", "worker_beats", "alembic_version"}


def is_closed(access: Access) -> bool:
    """Whether callers without credentials are refused, before the view runs."""
    return access.identifies_caller and not access.is_open


def is_ranked(access: Access) -> bool:
    """Whether some users of the org itself are refused."""
    return access.least_role is not None and not is_at_least("viewer", access.least_role)


def routes(product: Product, wanted: Callable[[Access], bool] = bool) -> list[Declared]:
    return [route for route in declared_routes(product.app).values() if wanted(route.access)]


def wire_name(name: str, field: FieldInfo) -> str:
    match field.validation_alias:
        case str() as alias:
            return alias
        case AliasChoices() as choices:
            return str(choices.choices[0])
        case _:
            return name


def marked(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def naming(route: Declared) -> dict[str, str]:
    """The inputs of a route that name things, and the kinds of those."""
    fields = route.inputs.model_fields if route.inputs else {}
    return {
        wire_name(name, field): marked(field)[NAMES_KEY]
        for name, field in fields.items()
        if marked(field).get(NAMES_KEY)
    }


def filled(product: Product, route: Declared) -> dict[str, Any]:
    """Something good for every input that a route cannot do without, and for those of EXAMPLES."""
    schema = route.inputs.model_json_schema() if route.inputs else {}
    kinds = naming(route)
    found = {}
    needed = [*schema.get("required", ()), *(set(EXAMPLES) & set(schema.get("properties", ())))]
    for name in needed:
        field = schema["properties"][name]
        if "$ref" in field:
            field = {**schema["$defs"][field["$ref"].rsplit("/", 1)[1]], **field}
        if name in kinds:
            found[name] = product.acmes[kinds[name]]
        elif name in EXAMPLES:
            found[name] = EXAMPLES[name]
        else:
            found[name] = next(iter(field.get("examples") or field.get("enum") or ()), guess(field))
    return found


def guess(schema: dict[str, Any]) -> Any:
    match schema.get("type"):
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "boolean":
            return "true"
        case _:
            return "something" + "g" * max(0, schema.get("minLength", 0) - 9)


def ask(product: Product, route: Declared, given: dict[str, Any], headers: dict[str, str]):
    """Ask every rule of a route by every method with these inputs."""
    for rule in route.rules:
        in_path = set(_PLACEHOLDER.findall(rule))
        if not in_path <= set(given):
            continue
        path = _PLACEHOLDER.sub(lambda found: str(given[found[1]]), rule)
        sent = {name: value for name, value in given.items() if name not in in_path}
        for method in route.methods:
            where = "query_string" if method == "GET" else "data"
            yield product.client.open(path, method=method, headers=headers, **{where: sent})


def text_of(reply) -> str:
    return reply.get_data().decode(errors="replace")


def comparable(reply, names: list[Any]):
    """Return status and text of a reply, without given names and what changes each time."""
    text = text_of(reply) if "image" not in (reply.mimetype or "") else ""
    for name in sorted(map(str, names), key=len, reverse=True):
        text = text.replace(name, "(thing)")
    return reply.status_code, _CHANGING.sub("", text)


def kept_of_acme(product: Product) -> dict[str, Counter]:
    """Every row that is not of Globex alone, by table."""
    globex = product.cast.globex.id
    found = {}
    with product.database.engine.connect() as connection:
        for table in product.tables.sorted_tables:
            if table.name in _SHARED_TABLES:
                continue
            # When a token was last used says nothing of what it was used for.
            wanted = select(*(column for column in table.c if not column.name.startswith("last_")))
            if table.name == "orgs":
                wanted = wanted.where(table.c.id != globex)
            elif "org_id" in table.c:
                wanted = wanted.where(table.c.org_id != globex)
            found[table.name] = Counter(repr(tuple(row)) for row in connection.execute(wanted))
    return found


def outsiders(product: Product, kind: str = "") -> dict[str, dict[str, str]]:
    """Those who must not know of a thing of this kind."""
    cookie = {"Cookie": f"session_id={product.cast.sessions['charlie']}"}
    colleague = {"bob": product.cast.headers("bob")} if kind in PERSONAL else {}
    return colleague | {
        "charlie": product.cast.headers("charlie"),
        "charlie's browser": {**cookie, "Origin": "http://127.0.0.1:8080"},
        "globex robot": {"X-Auth-Token": product.tokens["globex"]},
    }


def of_lower_rank(product: Product, access: Access) -> dict[str, dict[str, str]]:
    """Those of Acme who may not ask this."""
    found = {
        "dave": product.cast.headers("dave"),
        "reader": {"X-Auth-Token": product.tokens["acme reader"]},
    }
    if access.least_role is not None and not is_at_least("editor", access.least_role):
        found["bob"] = product.cast.headers("bob")
    return found


def check_things_of(product, route):
    """Request a thing of Acme and one that does not exist by every input that names one; count."""
    count = 0
    for name, kind in naming(route).items():
        where = (route.endpoint, name)
        acmes, nobodys = product.plant(kind), NOBODYS.get(kind, NOBODYS_NUMBER)
        rest = filled(product, route)
        before = kept_of_acme(product)
        for who, headers in outsiders(product, kind).items():
            of_acmes, of_nobodys = (
                [
                    comparable(reply, [acmes, nobodys])
                    for reply in ask(product, route, {**rest, name: thing}, headers)
                ]
                for thing in (acmes, nobodys)
            )
            assert of_acmes == of_nobodys, (who, *where)
            assert of_acmes, where
            assert max(status for status, _ in of_acmes) < 500, (who, *where)
            count += len(of_acmes)
        for who, headers in of_lower_rank(product, route.access).items():
            for thing in (acmes, nobodys) if is_ranked(route.access) else ():
                for reply in ask(product, route, {**rest, name: thing}, headers):
                    assert reply.status_code in {302, 403}, (who, *where)
        for thing in (acmes, nobodys) if is_closed(route.access) else ():
            for reply in ask(product, route, {**rest, name: thing}, {}):
                assert reply.status_code in {302, 401, 405}, ("anonymous", *where)
        assert kept_of_acme(product) == before, where
        owner = "alice" if kind in PERSONAL else None
        owner_finds_it(product, route, {**rest, name: acmes}, owner)
    return count


def owner_finds_it(product, route, given, owner):
    # The request may end the session: a user who transfers the org is an admin afterwards.
    session_id = product.cast.sessions[owner] if owner else product.fresh_owner()[0]
    credentials = (
        {"Cookie": f"session_id={session_id}"}
        if route.is_cookie_only
        else {"X-Session-Id": session_id}
    )
    headers = {**credentials, "Origin": "http://127.0.0.1:8080"}
    # Where one address is two routes, one by GET and one by POST, either may be the way.
    replies = [
        reply
        for other in declared_routes(product.app).values()
        if other.rules == route.rules
        for reply in ask(product, other, given, headers)
    ]
    found = [reply for reply in replies if reply.status_code not in {400, 401, 403, 404, 405}]
    assert found, (route.endpoint, given, [reply.text for reply in replies])


class TestDeclarations:
    def test_every_input_named_like_an_id_declares_what_it_identifies(self, product):
        silent = [
            f"{route.endpoint}: {name}"
            for route in declared_routes(product.app).values()
            for name, field in (route.inputs.model_fields if route.inputs else {}).items()
            if _SOUNDS_LIKE_A_NAME.search(name) and NAMES_KEY not in marked(field)
        ]
        assert silent == [], "mark it: Field(json_schema_extra=names(...)), or names(None)"

    def test_every_kind_of_thing_can_be_planted(self, product):
        kinds = {
            kind
            for route in declared_routes(product.app).values()
            for kind in naming(route).values()
        }
        assert kinds - set(PLANTERS) == set(), "add a planter to tests/kit/tenants.py"
        assert {"metric", "anomaly", "watcher", "user", "token"} <= kinds


class TestThings:
    def test_of_others_are_as_if_they_did_not_exist(self, product):
        """And asked for by their owner, the same way, they do: or this would prove nothing."""
        count = sum(
            check_things_of(product, route)
            for route in routes(product, lambda access: access != INGEST)
        )
        assert count > 100


class TestOutsiders:
    def test_find_nothing_of_acme_wherever_they_look(self, product):
        for who, headers in outsiders(product).items():
            for route in routes(product):
                # The documentation's examples are about some Acme, to everybody.
                for reply in ask(product, route, {}, headers) if route.tag != "doc" else ():
                    text = text_of(reply).lower()
                    for word in (MARK, "acme", "alice", "bob@", "dave"):
                        assert word not in text, (who, route.endpoint, word)

    def test_see_acmes_things_when_they_are_of_acme(self, product):
        """The tests above would pass on a product that shows nothing to any caller."""
        alice = product.cast.headers("alice")
        for path in (
            "/metrics",
            "/anomalies?from=1",
            "/watchers/list",
            f"/anomaly/{product.acmes['anomaly']}",
            f"/metric/{product.acmes['metric']}",
        ):
            reply = product.client.get(path, headers=alice)
            assert reply.status_code == 200, path
            assert MARK in reply.text, path


class TestAnonymousCallers:
    def test_are_let_in_nowhere(self, product):
        # Ingestion routes check the token themselves, which their own tests cover.
        for route in routes(product, is_closed):
            for reply in ask(product, route, filled(product, route), {}):
                assert reply.status_code in {302, 401, 405}, (route.endpoint, reply.status_code)
                assert reply.headers.get("Location", "/ui/login").startswith("/ui/login")


class TestReaders:
    def test_change_nothing(self, product):
        for route in routes(product, is_ranked):
            for who, headers in of_lower_rank(product, route.access).items():
                for reply in ask(product, route, filled(product, route), headers):
                    assert reply.status_code in {302, 403}, (who, route.endpoint)
