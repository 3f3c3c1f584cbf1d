"""The schemas of inputs and outputs, each under a name that people can read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from anomify.edge.contract import JSON_MEDIA, NAMES_KEY, Declared

REFERENCE: Final = "#/components/schemas/{model}"

Schema = dict[str, Any]


FAILURES: Final = {
    400: "A parameter is missing or wrong; `fields` says which and why.",
    401: "The caller is not authenticated: sign in, or send a valid token.",
    402: "A payment failed.",
    403: "The caller is known, and is not allowed to do this.",
    404: "No such thing in the caller's org; things of other orgs answer the same.",
    405: "This address does not take this method, or not with a cookie alone.",
    409: "The thing is in a state that does not allow this.",
    410: "It existed and has been deleted.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "What was sent is well-formed and still cannot be done.",
    429: "A limit is reached; `Retry-After` is the number of seconds to wait.",
    502: "Another server that is needed for this failed.",
    503: "Not now; the same request may succeed after `Retry-After` seconds.",
}


@dataclass(frozen=True)
class Field:
    """An input: its schema, and whether a request has to have it."""

    schema: Schema
    is_required: bool

    @property
    def names(self) -> str | None:
        """Return the kind of object that the input names; None if it names none."""
        found: str | None = self.schema.get(NAMES_KEY)
        return found


class Shapes:
    """The schemas of all models of some routes, each under a name that people can read."""

    def __init__(self, routes: list[Declared]) -> None:
        """Collect the models of these routes."""
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        for route in routes:
            for shape, mode in _shapes_of(route):
                wanted[(shape, mode)] = None
        self._references, found = models_json_schema(
            list(wanted), by_alias=True, ref_template=REFERENCE
        )
        definitions: Schema = found.get("$defs", {})
        names = _readable(definitions)
        self._names = names
        self.failures: Schema = {}
        self.components: Schema = {
            names[name]: _tidy(_renamed(schema, names)) for name, schema in definitions.items()
        }

    def reference(self, shape: type[BaseModel]) -> Schema:
        """Return the reference to the schema of this model."""
        for mode in ("serialization", "validation"):
            found = self._references.get((shape, mode))
            if found is not None:
                return dict(_renamed(found, self._names))
        raise KeyError(shape)

    def failure(self, status: int, shape: type[BaseModel] | None) -> Schema:
        """Return the reference to a failure, which is described once for all routes."""
        schema = {"type": "string"} if shape is None else self.reference(shape)
        word = "Text" if shape is None else schema["$ref"].rsplit("/", 1)[1]
        media = "text/plain" if shape is None else JSON_MEDIA
        self.failures[f"{word}{status}"] = {
            "description": FAILURES[status],
            "content": {media: {"schema": schema}},
        }
        return {"$ref": f"#/components/responses/{word}{status}"}

    def fields(self, shape: type[BaseModel]) -> dict[str, Field]:
        """Return the schema of each input field, by its documented name."""
        reference = _renamed(self._references[(shape, "validation")], self._names)
        schema = self.components[reference["$ref"].rsplit("/", 1)[1]]
        required = set(schema.get("required", ()))
        return {
            name: Field(field, name in required)
            for name, field in schema.get("properties", {}).items()
        }


def _shapes_of(route: Declared) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    if route.inputs is not None:
        yield route.inputs, "validation"
    for shape in (route.outputs, route.status_shape, route.problem_shape):
        if shape is not None:
            yield shape, "serialization"
    if route.wire is None:
        return
    for shape in (route.wire.query, route.wire.headers):
        if shape is not None:
            yield shape, "validation"
    for body in route.wire.bodies:
        for shape in body.shapes:
            yield shape, "validation"
    for reply in route.wire.replies:
        for shape in reply.shapes:
            yield shape, "serialization"


def _readable(definitions: Iterable[str]) -> dict[str, str]:
    """Return a name for each shape: its class, and its file if two files have such a class."""
    found: dict[str, str] = {}
    for name in definitions:
        parts = re.sub(r"-(Input|Output)(__\d+)?$", "", name).split("__")
        word = parts[-1].removesuffix("Out")
        if len(parts) > 1:
            word = parts[-2].title().replace("_", "") + word
        if name.endswith("-Input"):
            word += "Input"
        while word in found.values():
            word += "_"
        found[name] = word
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: REFERENCE.format(model=names[item.rsplit("/", 1)[1]])
            if key == "$ref"
            else _renamed(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    return value


def _tidy(value: Any, *, is_properties: bool = False) -> Any:
    """Remove titles that only repeat names, and defaults without information."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _tidy(item, is_properties=key == "properties" and not is_properties)
        for key, item in value.items()
        if is_properties
        or not (
            (key == "title" and isinstance(item, str))
            or (key == "default" and item is None)
            or (key == NAMES_KEY and item is None)
        )
    }


def without_null(schema: Schema) -> Schema:
    """Return the schema without null, which queries and forms express by omission."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if "anyOf" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}
