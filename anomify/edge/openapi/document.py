"""Builds the OpenAPI 3.1 document from the declared routes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from anomify.edge.contract import Declared
from anomify.edge.openapi.operation import PLACEHOLDER, operation_of
from anomify.edge.openapi.schemas import Schema, Shapes
from anomify.edge.openapi.security import security_schemes

VERSION: Final = "3.1.0"


@dataclass(frozen=True)
class Title:
    """The title, version and description of the API."""

    name: str
    version: str
    description: str
    # One sentence per group, in the order in which they are shown.
    groups: Mapping[str, str]
    has_session_parameter: bool


def describe(routes: Iterable[Declared], title: Title) -> Schema:
    """Return the OpenAPI 3.1 document of all routes that are no pages, ready to be JSON.

    It contains every route with every rule and method of it, ordered by group and address; the same
    routes give the same document.
    """
    shown = sorted(
        (route for route in routes if not route.is_page),
        key=lambda route: (_place(route.tag, title), route.rule),
    )
    shapes = Shapes(shown)
    paths: dict[str, Schema] = {}
    for route in shown:
        for number, rule in enumerate(route.rules, 1):
            for method in route.methods:
                operation = operation_of(
                    route, rule, method, shapes, has_session_parameter=title.has_session_parameter
                )
                suffix = "" if number == 1 else f"_{number}"
                operation["operationId"] += suffix
                paths.setdefault(PLACEHOLDER.sub(r"{\2}", rule), {})[method.lower()] = operation
    document: Schema = {
        "openapi": VERSION,
        "info": {
            "title": title.name,
            "version": title.version,
            "description": title.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [
            {"name": name, "description": title.groups.get(name, "")}
            for name in sorted(
                {route.tag for route in shown}, key=lambda name: (_place(name, title), name)
            )
        ],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "responses": dict(sorted(shapes.failures.items())),
            "securitySchemes": security_schemes(has_parameter=title.has_session_parameter),
        },
    }
    kept = _referenced(document)
    document["components"]["schemas"] = {
        name: schema for name, schema in sorted(shapes.components.items()) if name in kept
    }
    return document


def _place(tag: str, title: Title) -> int:
    groups = list(title.groups)
    return groups.index(tag) if tag in groups else len(groups)


def _referenced(document: Schema) -> set[str]:
    """Return the names of the schemas that are referred to, directly or not."""
    schemas: Schema = document["components"]["schemas"]
    found: set[str] = set()
    waiting = list(_references_in([document["paths"], document["components"]["responses"]]))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references_in(schemas[name]))
    return found


def _references_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                if item.startswith("#/components/schemas/"):
                    yield item.rsplit("/", 1)[1]
            else:
                yield from _references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references_in(item)
