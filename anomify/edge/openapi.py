"""The declared routes as an OpenAPI 3.1 document: described is what is declared, and no more."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from anomify.edge.contract import JSON_MEDIA, NAMES_KEY, Access, Body, Declared, DeclaredReply, Wire

VERSION: Final = "3.1.0"
REFERENCE: Final = "#/components/schemas/{model}"
FORM_MEDIA: Final = "application/x-www-form-urlencoded"
_PLACEHOLDER: Final = re.compile(r"<(?:(\w+):)?(\w+)>")
_READING_METHODS: Final = {"GET", "HEAD"}
_NO_CONTENT: Final = 204

Schema = dict[str, Any]

# Who may ask, in words that stand at the end of each route's description.
ACCESS_SENTENCES: Final = {
    Access.PUBLIC: "Anybody may ask; no session is made.",
    Access.SIGNED: (
        "For users of any role, tokens with the scope `read`, and whoever holds a signed link to "
        "this very thing."
    ),
    Access.INGEST: "For tokens with the scope `ingest`.",
    Access.ANYONE: "Anybody may ask; a stranger is given a session.",
    Access.VIEWER: "For users of any role, and tokens with the scope `read`.",
    Access.EDITOR: "For editors, admins and owners, and tokens with the scope `write`.",
    Access.ADMIN: "For admins and owners, and tokens with the scope `admin`.",
    Access.OWNER: "For owners; not for tokens.",
    Access.USER: "For signed-in users of any role; not for tokens.",
}
CHANGES_SENTENCE: Final = (
    "It changes something: a GET needs the header X-Session-Id or X-Auth-Token, and a cookie alone "
    "needs X-CSRF-Token beside a POST."
)
_OPEN: Final = {Access.PUBLIC, Access.ANYONE}
_WITH_TOKENS: Final = {Access.SIGNED, Access.VIEWER, Access.EDITOR, Access.ADMIN}
FAILURES: Final = {
    400: "A parameter is missing or wrong; `fields` says which and why.",
    401: "Nobody we know is asking: sign in, or send a valid token.",
    402: "A payment failed.",
    403: "Who asks is known, and may not.",
    404: "No such thing in the caller's org; things of other orgs answer the same.",
    405: "This address does not take this method, or not with a cookie alone.",
    409: "The thing is in a state that does not allow this.",
    410: "It was there once and is gone.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "What was sent is well-formed and still cannot be done.",
    429: "A limit is reached; `Retry-After` says when to ask again.",
    502: "Somebody else's server did not do its part.",
    503: "Not now; the same request may succeed after `Retry-After` seconds.",
}


@dataclass(frozen=True)
class Title:
    """What the document says about the whole."""

    name: str
    version: str
    description: str
    # One sentence per group, in the order in which they are shown.
    groups: Mapping[str, str]
    has_session_parameter: bool


def describe(routes: Iterable[Declared], title: Title) -> Schema:
    """Return the OpenAPI 3.1 document of all routes that are no pages, ready to be JSON.

    Every route stands there by every rule and method it has. The order is that of the groups, and
    of addresses within them; the same routes give the same document.
    """
    shown = sorted(
        (route for route in routes if not route.is_page),
        key=lambda route: (_place(route.tag, title), route.rule),
    )
    shapes = _Shapes(shown)
    paths: dict[str, Schema] = {}
    for route in shown:
        for number, rule in enumerate(route.rules, 1):
            for method in route.methods:
                operation = _operation(route, rule, method, shapes, title)
                suffix = "" if number == 1 else f"_{number}"
                operation["operationId"] += suffix
                paths.setdefault(_PLACEHOLDER.sub(r"{\2}", rule), {})[method.lower()] = operation
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
            "securitySchemes": _security_schemes(title),
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


# --- one operation ---


def _operation(route: Declared, rule: str, method: str, shapes: "_Shapes", title: Title) -> Schema:
    in_path = {name: converter for converter, name in _PLACEHOLDER.findall(rule)}
    fields = shapes.fields(route.inputs) if route.inputs else {}
    operation: Schema = {
        "tags": [route.tag],
        "operationId": f"{route.endpoint.replace('.', '_')}_{method.lower()}",
        "summary": route.summary,
        "description": "\n\n".join(
            part
            for part in (
                route.description,
                ACCESS_SENTENCES[route.access],
                CHANGES_SENTENCE if route.changes else "",
            )
            if part
        ),
        "security": _security(route, method, title),
    }
    parameters = [_path_parameter(name, in_path[name], fields) for name in in_path]
    rest = {name: field for name, field in fields.items() if name not in in_path}
    bodies: list[Body] | None = None
    if route.wire is not None:
        parameters += _wire_parameters(route.wire, shapes)
        bodies = list(route.wire.bodies)
    if method in _READING_METHODS:
        parameters += [_query_parameter(name, field) for name, field in rest.items()]
    elif bodies:
        operation["requestBody"] = {
            "required": True,
            "content": {body.media: _media(body.shapes, shapes, body.says) for body in bodies},
        }
    elif rest:
        operation["requestBody"] = _parameters_body(rest, is_closed=route.changes)
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = _responses(route, in_path, fields, shapes)
    return operation


def _path_parameter(name: str, converter: str, fields: Mapping[str, "_Field"]) -> Schema:
    kind: Schema = {"type": "integer" if converter == "int" else "string"}
    field = fields.get(name)
    schema = kind if field is None else _without_null(field.schema)
    if converter == "int":
        schema = {"minimum": 0, **schema}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": schema.get("description", ""),
        "schema": {
            key: value for key, value in schema.items() if key not in {"default", "description"}
        },
    }


def _query_parameter(name: str, field: "_Field") -> Schema:
    schema = dict(_without_null(field.schema))
    parameter = {
        "name": name,
        "in": "query",
        "required": field.is_required,
        "description": schema.pop("description", ""),
        "schema": schema,
    }
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _wire_parameters(wire: Wire, shapes: "_Shapes") -> list[Schema]:
    return [
        {**_query_parameter(name, field), "in": place}
        for place, shape in (("query", wire.query), ("header", wire.headers))
        if shape is not None
        for name, field in shapes.fields(shape).items()
    ]


def _parameters_body(fields: Mapping[str, "_Field"], *, is_closed: bool) -> Schema:
    """Return the body that parameters are sent in; a closed one takes no others."""
    required = [name for name, field in fields.items() if field.is_required]

    def schema_of(properties: Schema) -> Schema:
        schema: Schema = {"type": "object", "properties": properties}
        if is_closed:
            schema["additionalProperties"] = False
        return {**schema, "required": required} if required else schema

    as_json = {name: field.schema for name, field in fields.items()}
    # A form knows texts only, and lists as a,b.
    as_form = {name: _without_null(field.schema) for name, field in fields.items()}
    lists = [name for name, schema in as_form.items() if schema.get("type") == "array"]
    form: Schema = {"schema": schema_of(as_form)}
    if lists:
        form["encoding"] = {name: {"style": "form", "explode": False} for name in lists}
    return {
        "required": bool(required),
        "content": {JSON_MEDIA: {"schema": schema_of(as_json)}, FORM_MEDIA: form},
    }


# --- what comes back ---


def _responses(
    route: Declared, in_path: Mapping[str, str], fields: Mapping[str, "_Field"], shapes: "_Shapes"
) -> Schema:
    found: Schema = {}
    for reply in _good_replies(route):
        content = {}
        if reply.media is not None:
            shape = _enveloped(route, shapes) if not reply.shapes and route.outputs else None
            content = {
                reply.media: {"schema": shape} if shape else _media(reply.shapes, shapes, "")
            }
        found[str(reply.status)] = {
            "description": reply.says,
            **({"content": content} if content else {}),
        }
    for status in sorted(_failures(route, in_path, fields)):
        if str(status) in found:
            continue
        found[str(status)] = shapes.failure(status, route.problem_shape)
    return found


def _good_replies(route: Declared) -> Iterator[DeclaredReply]:
    if route.wire is not None and route.wire.replies:
        yield from route.wire.replies
        return
    yield DeclaredReply(200, "It worked.", route.media)
    if route.media.startswith("image/"):
        yield DeclaredReply(304, "It is still the picture whose ETag was sent.")
        yield DeclaredReply(
            503, "Too many pictures are being drawn; a small notice instead.", route.media
        )


def _failures(
    route: Declared, in_path: Mapping[str, str], fields: Mapping[str, "_Field"]
) -> set[int]:
    found = {400, 413, 415, 429, 503, *route.errors}
    if route.access is not Access.PUBLIC:
        found.add(401)
    if route.access not in _OPEN or route.changes:
        found.add(403)
    if route.changes:
        found.add(405)
    if in_path or any(field.names for field in fields.values()):
        found.add(404)
    return found


def _enveloped(route: Declared, shapes: "_Shapes") -> Schema:
    assert route.outputs is not None  # noqa: S101 -- the caller has looked; for the type checker
    data = shapes.reference(route.outputs)
    if route.status_shape is None:
        return data
    return {
        "type": "object",
        "properties": {"status": shapes.reference(route.status_shape), "data": data},
        "required": ["status", "data"],
    }


def _media(choices: tuple[type[BaseModel], ...], shapes: "_Shapes", says: str) -> Schema:
    found = [shapes.reference(shape) for shape in choices]
    schema: Schema = {"type": "string", "format": "binary"}
    if found:
        schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"schema": {**schema, "description": says} if says else schema}


# --- who may ask ---


def _security_schemes(title: Title) -> Schema:
    found: Schema = {
        "session_header": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Session-Id",
            "description": "The session's id, as every reply's `status.session_id` tells it.",
        },
        "session_parameter": {
            "type": "apiKey",
            "in": "query",
            "name": "session_id",
            "description": "The same as a parameter. Deprecated: addresses end up in logs.",
        },
        "session_cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "session_id",
            "description": "The same as a cookie, which browsers are given.",
        },
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Auth-Token",
            "description": (
                "A token of the org: `anm_...`. A signed-in user wins where both are sent. "
                'In a JSON body it may stand as `{"data": {"token": "anm_..."}}`.'
            ),
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the org with the scope `ingest`.",
        },
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "The token as the password; the name is not looked at.",
        },
        "link": {
            "type": "apiKey",
            "in": "query",
            "name": "sig",
            "description": "The signature of a link that we made; everything else in it counts.",
        },
    }
    if not title.has_session_parameter:
        del found["session_parameter"]
    return found


def _security(route: Declared, method: str, title: Title) -> list[Schema]:
    if route.access is Access.PUBLIC:
        return []
    if route.access is Access.INGEST:
        return [{"bearer": []}, {"token": []}, {"basic": []}]
    found: list[Schema] = [{"session_header": []}]
    # A link that somebody follows must not change anything.
    if not (route.changes and method in _READING_METHODS):
        if title.has_session_parameter:
            found.append({"session_parameter": []})
        found.append({"session_cookie": []})
    if route.access in _WITH_TOKENS:
        found.append({"token": []})
    if route.access is Access.SIGNED:
        found.append({"link": []})
    if route.access is Access.ANYONE:
        found.append({})
    return found


# --- shapes ---


@dataclass(frozen=True)
class _Field:
    schema: Schema
    is_required: bool

    @property
    def names(self) -> str | None:
        found: str | None = self.schema.get(NAMES_KEY)
        return found


class _Shapes:
    """The schemas of all models of some routes, each under a name that people can read."""

    def __init__(self, routes: list[Declared]) -> None:
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
        """Return the reference to what leaves, or comes in, in this shape."""
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

    def fields(self, shape: type[BaseModel]) -> dict[str, _Field]:
        """Return the schema of each field that comes in, by the name it is documented by."""
        reference = _renamed(self._references[(shape, "validation")], self._names)
        schema = self.components[reference["$ref"].rsplit("/", 1)[1]]
        required = set(schema.get("required", ()))
        return {
            name: _Field(field, name in required)
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
    """Name each shape by its class, and by its file too where two files have such a class."""
    found: dict[str, str] = {}
    for name in definitions:
        parts = re.sub(r"-(Input|Output)(__\d+)?$", "", name).split("__")
        word = parts[-1].removesuffix("Out")
        if len(parts) > 1:
            word = parts[-2].title().replace("_", "") + word
        if name.endswith("-Input"):
            word += "Wish"
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
    """Take out the titles that only repeat names, and defaults that say nothing."""
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


def _without_null(schema: Schema) -> Schema:
    """Return the schema of what a query or form can say: null is said by leaving it out."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if "anyOf" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}


def _referenced(document: Schema) -> set[str]:
    """Return the names of the schemas that somebody refers to, directly or not."""
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
