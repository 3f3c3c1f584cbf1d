"""An operation of the document: parameters, body and replies of a route with one method."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel

from anomify.edge.access import PUBLIC
from anomify.edge.contract import JSON_MEDIA, Body, Declared, DeclaredReply, Wire
from anomify.edge.openapi.schemas import Field, Schema, Shapes, without_null
from anomify.edge.openapi.security import READING_METHODS, security_of

FORM_MEDIA: Final = "application/x-www-form-urlencoded"

PLACEHOLDER: Final = re.compile(r"<(?:(\w+):)?(\w+)>")


CHANGES_SENTENCE: Final = (
    "It changes something: a GET needs the header X-Session-Id or X-Auth-Token, and a cookie alone "
    "needs X-CSRF-Token beside a POST."
)


def operation_of(
    route: Declared, rule: str, method: str, shapes: Shapes, *, has_session_parameter: bool
) -> Schema:
    """Return the operation of a route with one of its rules and methods."""
    in_path = {name: converter for converter, name in PLACEHOLDER.findall(rule)}
    fields = shapes.fields(route.inputs) if route.inputs else {}
    operation: Schema = {
        "tags": [route.tag],
        "operationId": f"{route.endpoint.replace('.', '_')}_{method.lower()}",
        "summary": route.summary,
        "description": "\n\n".join(
            part
            for part in (
                route.description,
                route.access.sentence,
                CHANGES_SENTENCE if route.changes else "",
            )
            if part
        ),
        "security": security_of(route, method, has_parameter=has_session_parameter),
    }
    parameters = [_path_parameter(name, in_path[name], fields) for name in in_path]
    rest = {name: field for name, field in fields.items() if name not in in_path}
    bodies: list[Body] | None = None
    if route.wire is not None:
        parameters += _wire_parameters(route.wire, shapes)
        bodies = list(route.wire.bodies)
    if method in READING_METHODS:
        parameters += [_query_parameter(name, field) for name, field in rest.items()]
    elif bodies:
        operation["requestBody"] = {
            "required": True,
            "content": {
                body.media: _media(body.shapes, shapes, body.description) for body in bodies
            },
        }
    elif rest:
        operation["requestBody"] = _parameters_body(rest, is_closed=route.changes)
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = _responses(route, in_path, fields, shapes)
    return operation


def _path_parameter(name: str, converter: str, fields: Mapping[str, Field]) -> Schema:
    kind: Schema = {"type": "integer" if converter == "int" else "string"}
    field = fields.get(name)
    schema = kind if field is None else without_null(field.schema)
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


def _query_parameter(name: str, field: Field) -> Schema:
    schema = dict(without_null(field.schema))
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


def _wire_parameters(wire: Wire, shapes: Shapes) -> list[Schema]:
    return [
        {**_query_parameter(name, field), "in": place}
        for place, shape in (("query", wire.query), ("header", wire.headers))
        if shape is not None
        for name, field in shapes.fields(shape).items()
    ]


def _parameters_body(fields: Mapping[str, Field], *, is_closed: bool) -> Schema:
    """Return the body for parameters; a closed one allows no others."""
    required = [name for name, field in fields.items() if field.is_required]

    def schema_of(properties: Schema) -> Schema:
        schema: Schema = {"type": "object", "properties": properties}
        if is_closed:
            schema["additionalProperties"] = False
        return {**schema, "required": required} if required else schema

    as_json = {name: field.schema for name, field in fields.items()}
    # Values in a form are texts, and lists are written as a,b.
    as_form = {name: without_null(field.schema) for name, field in fields.items()}
    lists = [name for name, schema in as_form.items() if schema.get("type") == "array"]
    form: Schema = {"schema": schema_of(as_form)}
    if lists:
        form["encoding"] = {name: {"style": "form", "explode": False} for name in lists}
    return {
        "required": bool(required),
        "content": {JSON_MEDIA: {"schema": schema_of(as_json)}, FORM_MEDIA: form},
    }


def _responses(
    route: Declared, in_path: Mapping[str, str], fields: Mapping[str, Field], shapes: Shapes
) -> Schema:
    found: Schema = {}
    for reply in _good_replies(route):
        content = {}
        if reply.media is not None:
            is_data = reply.media == JSON_MEDIA and not reply.shapes and route.outputs is not None
            content = {
                reply.media: {"schema": _enveloped(route, shapes)}
                if is_data
                else _media(reply.shapes, shapes, "")
            }
        described = found.setdefault(str(reply.status), {"description": reply.description})
        if content:
            described["content"] = described.get("content", {}) | content
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
        if route.outputs is not None:
            yield DeclaredReply(200, "It worked.", JSON_MEDIA)
        yield DeclaredReply(304, "It is still the picture whose ETag was sent.")
        yield DeclaredReply(
            503, "Too many pictures are being drawn; a small notice instead.", route.media
        )


def _failures(route: Declared, in_path: Mapping[str, str], fields: Mapping[str, Field]) -> set[int]:
    found = {400, 413, 415, 429, 503, *route.errors}
    if route.access != PUBLIC:
        found.add(401)
    if not route.access.is_open or route.changes:
        found.add(403)
    if route.changes:
        found.add(405)
    if in_path or any(field.names for field in fields.values()):
        found.add(404)
    return found


def _enveloped(route: Declared, shapes: Shapes) -> Schema:
    assert route.outputs is not None  # noqa: S101 -- the caller has looked; for the type checker
    data = shapes.reference(route.outputs)
    if route.status_shape is None:
        return data
    return {
        "type": "object",
        "properties": {"status": shapes.reference(route.status_shape), "data": data},
        "required": ["status", "data"],
    }


def _media(choices: tuple[type[BaseModel], ...], shapes: Shapes, description: str) -> Schema:
    found = [shapes.reference(shape) for shape in choices]
    schema: Schema = {"type": "string", "format": "binary"}
    if found:
        schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"schema": {**schema, "description": description} if description else schema}
