"""The parameters of a request, merged from path, body and query, whichever way they came."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from flask import g, request
from pydantic import AliasChoices, BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from anomify.edge.strict_json import decode
from anomify.errors import Invalid, NotFound, Unsupported

FORM_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}
BODILESS = {"GET", "HEAD", "OPTIONS"}
JSON_KEY = "anomify_json"
# Sentences of our own where the validator's would be about Python.
SENTENCES = {
    "missing": "This parameter is needed.",
    "extra_forbidden": "This parameter is not known here.",
    "bool_parsing": "Say true or false.",
    "int_parsing": "A whole number is needed.",
    "int_from_float": "A whole number is needed.",
    "float_parsing": "A number is needed.",
    "string_type": "One text is needed.",
    "greater_than_equal": "{ge} is the least that will do.",
    "less_than_equal": "{le} is the most that will do.",
    "greater_than": "More than {gt} is needed.",
    "string_too_short": "At least {min_length} characters are needed.",
    "string_too_long": "{max_length} characters are the most that will do.",
    "too_long": "{max_length} of them are the most that will do.",
    "literal_error": "One of these is needed: {expected}.",
    "enum": "One of these is needed: {expected}.",
}

Wish = TypeVar("Wish", bound=BaseModel)


def read_inputs(model: type[Wish], path: Mapping[str, object]) -> Wish:
    """Return the inputs of the current request: path before body before query.

    Raises `Invalid` naming each field that is missing or wrong, or that has different values in
    two places; a path that names nothing possible raises `NotFound`.
    """
    places = (path, body_parameters(), _from_multidict(request.args))
    given: dict[str, object] = {}
    for name in _names(model):
        found = [place[name] for place in places if name in place]
        if not found:
            continue
        if any(_as_text(other) != _as_text(found[0]) for other in found[1:]):
            raise _conflict(name)
        if has_unstorable(found[0]):
            raise Invalid(
                f"{name} holds a character that cannot be stored.",
                fields={name: "Take out NUL characters and broken ones."},
            )
        given[name] = found[0]
    if model.model_config.get("extra") == "forbid":
        for place in places[1:]:
            given.update({name: value for name, value in place.items() if name not in given})
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems = {_spelled(problem["loc"]): _sentence(problem) for problem in error.errors()}
        if any(name.split(".")[0] in path for name in problems):
            raise NotFound("There is nothing of that name here.") from None
        raise Invalid(_summary(problems), fields=problems) from None


def find_parameter(name: str) -> str | None:
    """Return one parameter from body or query, or None; a body that cannot be read has none."""
    try:
        body = body_parameters()
    except (Invalid, Unsupported):
        # Whoever needs the body says what is wrong with it.
        body = {}
    query = _from_multidict(request.args)
    found = [place[name] for place in (body, query) if name in place]
    if any(_as_text(other) != _as_text(found[0]) for other in found[1:]):
        raise _conflict(name)
    return _as_text(found[0]) if found else None


def body_parameters() -> Mapping[str, object]:
    """Return what the form or the JSON object of the body says; read once, kept for the request.

    Raises `Invalid` for a body that is not what its type says, `Unsupported` for other types.
    """
    if request.method in BODILESS:
        return {}
    if request.mimetype in FORM_TYPES:
        return _from_multidict(request.form)
    if JSON_KEY not in g:
        setattr(g, JSON_KEY, _json_object())
    found: Mapping[str, object] = getattr(g, JSON_KEY)
    return found


def _json_object() -> Mapping[str, object]:
    if not request.mimetype and not request.content_length:
        return {}
    if not request.is_json:
        if not request.get_data():
            return {}
        raise Unsupported(
            "Send parameters as application/json or application/x-www-form-urlencoded."
        )
    body = request.get_data()
    value = decode(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise Invalid("The JSON body has to be an object of parameters.")
    return value


def _names(model: type[BaseModel]) -> Iterable[str]:
    """Yield every spelling that a field is taken by."""
    for name, field in model.model_fields.items():
        yield name
        match field.validation_alias:
            case str() as alias:
                yield alias
            case AliasChoices() as choices:
                yield from (choice for choice in choices.choices if isinstance(choice, str))
            case _:
                pass


def _from_multidict(values: MultiDict[str, str]) -> dict[str, object]:
    """Take single values as such, and repeated ones as lists."""
    return {
        name: found[0] if len(found) == 1 else found
        for name, found in values.to_dict(flat=False).items()
    }


def _as_text(value: object) -> str:
    """Spell a value as a form would, so that the same wish in two places is the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_as_text(item) for item in value)
    return "" if value is None else str(value)


def has_unstorable(value: object) -> bool:
    """Tell whether a value holds a text that no database takes, at whatever depth."""
    if isinstance(value, str):
        return "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(has_unstorable(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(has_unstorable(item) for item in value)


def _conflict(name: str) -> Invalid:
    return Invalid(
        f"{name} has different values in two places of the request.",
        code="conflicting_parameter",
        fields={name: "Send it once."},
    )


def _spelled(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "parameters"


def _sentence(problem: Any) -> str:
    if problem["type"] == "value_error":
        # Raised by a validator of ours, whose sentence is meant for people.
        return str(problem["ctx"]["error"])
    if problem["type"] in SENTENCES:
        return SENTENCES[problem["type"]].format(**problem.get("ctx", {}))
    words: str = problem["msg"]
    return words if words.endswith(".") else f"{words}."


def _summary(problems: Mapping[str, str]) -> str:
    return " ".join(f"{name}: {sentence}" for name, sentence in problems.items())
