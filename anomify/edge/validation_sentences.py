"""Turn the errors of the validator into a sentence for each wrong parameter."""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from anomify.edge.list_text import NOT_A_LIST

# The key of errors that are about no single parameter.
NO_PARAMETER: Final = "parameters"
NEEDED: Final = "This parameter is needed."
_UNIONS: Final = {Union, UnionType}
UNREADABLE: Final = "This value cannot be read."
_WHOLE: Final = "A whole number is needed."
_NUMBER: Final = "A number is needed."
_TEXT: Final = "One text is needed."
_TRUTH: Final = "True or false is needed."
_CHOICE: Final = "One of these is needed: {expected}."
_OBJECT: Final = 'A JSON object is needed, such as {{"name": true}}.'
# By the type of the error; other types get `UNREADABLE`, because the validator's own messages are
# about Python.
SENTENCES: Final[Mapping[str, str]] = {
    "missing": NEEDED,
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "int_parsing": _WHOLE,
    "int_parsing_size": "This number is too large.",
    "int_from_float": _WHOLE,
    "int_type": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "multiple_of": "A multiple of {multiple_of} is needed.",
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "string_pattern_mismatch": "This is not of the form that is needed.",
    "greater_than_equal": "{ge} is the least that will do.",
    "less_than_equal": "{le} is the most that will do.",
    "greater_than": "More than {gt} is needed.",
    "less_than": "Less than {lt} is needed.",
    "string_too_short": "At least {min_length} characters are needed.",
    "string_too_long": "{max_length} characters are the most that will do.",
    "too_short": "At least {min_length} of them are needed.",
    "too_long": "{max_length} of them are the most that will do.",
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    "list_type": NOT_A_LIST,
    "tuple_type": NOT_A_LIST,
    "set_type": NOT_A_LIST,
    "iterable_type": NOT_A_LIST,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
}


class WrongParameter(ValueError):
    """Raised by a model's own validator: which parameter is wrong, and what to do about it."""

    def __init__(self, parameter: str, sentence: str) -> None:
        """Name the parameter as the request spells it."""
        super().__init__(sentence)
        self.parameter = parameter


def sentences_of(model: type[BaseModel], problems: Sequence[Any]) -> dict[str, str]:
    """Return a sentence for each parameter that the validator's problems are about.

    For a list the sentence is about its first wrong element; for a parameter of several possible
    types it lists what each type would need.
    """
    places: dict[str, str] = {}
    sentences: dict[str, list[str]] = {}
    for problem in problems:
        name, place = _place_of(model, problem)
        if places.setdefault(name, place) != place:
            continue
        listed = sentences.setdefault(name, [])
        sentence = _sentence(problem)
        if sentence not in listed:
            listed.append(sentence)
    return {name: places[name] + " Or: ".join(listed) for name, listed in sentences.items()}


def summary(sentences: Mapping[str, str]) -> str:
    """Return the sentences of several parameters as one text."""
    return " ".join(
        sentence
        if name == NO_PARAMETER or sentence.startswith(f"{name} ")
        else f"{name}: {sentence}"
        for name, sentence in sentences.items()
    )


def _place_of(model: type[BaseModel], problem: Any) -> tuple[str, str]:
    """Return the name of the parameter, and the text that names its wrong element."""
    location = problem["loc"]
    if not location:
        error = problem.get("ctx", {}).get("error")
        return getattr(error, "parameter", NO_PARAMETER), ""
    field = _field_named(model, str(location[0]))
    inner = _readable(field.annotation if field else None, location[1:])
    keys = [part for part in inner if isinstance(part, str)]
    numbers = [part for part in inner if isinstance(part, int)]
    place = f"Element {numbers[0] + 1}: " if numbers else ""
    return ".".join([str(location[0]), *keys]), place


def _field_named(model: type[BaseModel], name: str) -> FieldInfo | None:
    for own_name, field in model.model_fields.items():
        if name in spellings(own_name, field):
            return field
    return None


def spellings(name: str, field: FieldInfo) -> list[str]:
    """Return every name by which a field is accepted."""
    match field.validation_alias:
        case str() as alias:
            return [name, alias]
        case AliasChoices() as choices:
            return [name, *(choice for choice in choices.choices if isinstance(choice, str))]
        case _:
            return [name]


def _readable(annotation: Any, location: Sequence[int | str]) -> Sequence[int | str]:
    """Return the steps of a location that the sender wrote: keys of objects, places in lists.

    The validator's location also contains names of the types of a union, which are left out.
    """
    if not location:
        return []
    choices = [choice for choice in get_args(annotation) if choice is not type(None)]
    first, rest = location[0], location[1:]
    origin = get_origin(annotation)
    if origin is Annotated or (_is_union(annotation) and len(choices) == 1):
        return _readable(choices[0], location)
    if origin in {list, tuple} and isinstance(first, int):
        return [first, *_readable(choices[0] if choices else None, rest)]
    if origin is dict:
        return [str(first)[:100]]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = _field_named(annotation, str(first))
        return [str(first), *_readable(field.annotation if field else None, rest)]
    # The tag of a union, and the steps below it.
    return [part for part in rest if isinstance(part, int)][:1]


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in _UNIONS


def _sentence(problem: Any) -> str:
    if problem["type"] == "value_error":
        # Raised by a validator of this product, whose message is written for people.
        return str(problem["ctx"]["error"])
    template = SENTENCES.get(problem["type"], UNREADABLE)
    return template.format(**problem.get("ctx", {}))
