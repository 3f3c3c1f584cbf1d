"""The parameters of a request, merged from path, body and query."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeVar

from flask import g, request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from anomify.edge.list_text import Repeated, as_list, lists_of
from anomify.edge.strict_json import decode
from anomify.edge.validation_sentences import sentences_of, spellings, summary
from anomify.errors import Invalid, NotFound, Unsupported

FORM_TYPES = {"application/x-www-form-urlencoded", "multipart/form-data"}
BODILESS = {"GET", "HEAD", "OPTIONS"}
JSON_KEY = "anomify_json"
# Parameters that any request may carry beside those of its route: a session id, and the CSRF token
# of a form.
CREDENTIALS = frozenset({"session_id", "csrf_token"})
# Old clients send their token in the JSON body: {"data": {"token": "anm_..."}}.
TOKEN_HOLDER, TOKEN = "data", "token"
# The most unknown parameters that an error names, and the most characters of each name.
NOT_KNOWN = "This parameter is not known here; nothing was changed."
UNKNOWN_LISTED_MAX = 10
UNKNOWN_CHARACTERS_LISTED = 100

Model = TypeVar("Model", bound=BaseModel)


def read_inputs(
    model: type[Model], path: Mapping[str, object], *, refuses_unknown: bool = False
) -> Model:
    """Return the inputs of the current request: path before body before query.

    Raises `Invalid` naming each field that is missing or wrong, that has different values in two
    places, or, with `refuses_unknown`, that the model does not have; a path that names nothing
    possible raises `NotFound`.
    """
    places = (path, body_parameters(), _from_multidict(request.args))
    known = _known(model)
    given: dict[str, object] = {}
    for name, is_list in known.items():
        found = [place[name] for place in places if name in place]
        if not found:
            continue
        if len(found) > 1 and len({_meaning(value, is_list=is_list) for value in found}) > 1:
            raise _conflict(name)
        if has_unstorable(found[0]):
            raise Invalid(
                f"{name} holds a character that cannot be stored.",
                fields={name: "Take out NUL characters and broken ones."},
            )
        given[name] = found[0]
    problems = _unknown(places[1:], known) if refuses_unknown else {}
    try:
        requested = model.model_validate(given)
    except ValidationError as error:
        wrong = sentences_of(model, error.errors())
        if any(name.split(".")[0] in path for name in wrong):
            raise NotFound("There is nothing of that name here.") from None
        problems = {**wrong, **problems}
        raise Invalid(summary(problems), fields=problems) from None
    if problems:
        raise Invalid(summary(problems), code="unknown_parameter", fields=problems)
    return requested


def find_parameter(name: str) -> str | None:
    """Return one parameter from body or query, or None; a body that cannot be read has none."""
    try:
        body = body_parameters()
    except (Invalid, Unsupported):
        # The route that reads the body reports what is wrong with it.
        body = {}
    query = _from_multidict(request.args)
    found = [place[name] for place in (body, query) if name in place]
    if any(_as_text(other) != _as_text(found[0]) for other in found[1:]):
        raise _conflict(name)
    return _as_text(found[0]) if found else None


def body_parameters() -> Mapping[str, object]:
    """Return the fields of the body, a form or a JSON object; read once and kept.

    Raises `Invalid` for a body that does not match its content type, `Unsupported` for other types.
    """
    if request.method in BODILESS:
        return {}
    if request.mimetype in FORM_TYPES:
        form = _from_multidict(request.form)
        if any(name.lstrip().startswith(("{", "[")) for name in form):
            # The default content type of curl.
            raise Unsupported("The body is JSON: send it with Content-Type: application/json.")
        return form
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


@lru_cache(maxsize=2_000)
def _known(model: type[BaseModel]) -> dict[str, bool]:
    """Return for every name of a parameter whether it is a list; computed once for a model."""
    lists = lists_of(model)
    return {
        name: own_name in lists
        for own_name, field in model.model_fields.items()
        for name in spellings(own_name, field)
    }


def _unknown(places: Iterable[Mapping[str, object]], known: Collection[str]) -> dict[str, str]:
    """Return a sentence for each parameter that the route does not declare."""
    found: dict[str, str] = {}
    for place in places:
        for name, value in place.items():
            if name in known or name in CREDENTIALS:
                continue
            if name == TOKEN_HOLDER and isinstance(value, dict):
                unknown = [f"{name}.{inner}" for inner in value if inner != TOKEN]
            else:
                unknown = [name]
            for each in unknown:
                if len(found) == UNKNOWN_LISTED_MAX:
                    return found
                found[each[:UNKNOWN_CHARACTERS_LISTED]] = _unknown_sentence(each, known)
    return found


def _unknown_sentence(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name[:UNKNOWN_CHARACTERS_LISTED], known, n=1, cutoff=0.7)
    return f"This parameter is not known here; did you mean {near[0]}?" if near else NOT_KNOWN


def _from_multidict(values: MultiDict[str, str]) -> dict[str, object]:
    """Return the values by name; a name that occurs more than once has a list."""
    return {
        name: found[0] if len(found) == 1 else Repeated(found)
        for name, found in values.to_dict(flat=False).items()
    }


def _as_text(value: object) -> str:
    """Return a value as a form writes it, so that equal inputs in two places compare equal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_as_text(item) for item in value)
    return "" if value is None else str(value)


def _meaning(value: object, *, is_list: bool) -> str:
    """Return a value in one form, so that equal inputs in two places compare equal."""
    if is_list:
        # The route that reads the list reports what is wrong with it.
        with suppress(ValueError):
            value = as_list(value)
    return _as_text(value)


def has_unstorable(value: object) -> bool:
    """Return whether a value contains, at any depth, a text that databases cannot store."""
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
