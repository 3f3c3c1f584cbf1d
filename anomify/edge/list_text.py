"""Reads parameters that are lists: a JSON array, or elements separated by commas."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import get_args, get_origin

from pydantic import BaseModel

from anomify.edge.strict_json import decode
from anomify.errors import Invalid

NOT_A_LIST = 'A list is needed, such as a,b or ["a","b"].'


class Repeated(list[str]):
    """The texts of a parameter that occurs more than once in a form or query, in order."""


def takes_list(annotation: object) -> bool:
    """Return whether a field of this type is a list, also within `Annotated` and `| None`.

    >>> takes_list(list[int] | None), takes_list(dict[str, bool])
    (True, False)
    """
    origin = get_origin(annotation)
    if annotation in {list, tuple} or origin in {list, tuple}:
        return True
    return origin is not dict and any(takes_list(inner) for inner in get_args(annotation))


@lru_cache(maxsize=2_000)
def lists_of(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of a model's fields that are lists; computed once for each model."""
    return frozenset(
        name for name, field in model.model_fields.items() if takes_list(field.annotation)
    )


def as_list(value: object) -> object:
    """Return the list that a parameter's value represents; another value is returned unchanged.

    A JSON array is taken as it is. A text is read by `list_of`, and so is each text of a parameter
    that is named more than once. Raises `ValueError` with a sentence for people.
    """
    if isinstance(value, Repeated):
        return [element for text in value for element in list_of(text)]
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return list_of(str(value))
    return value


def list_of(text: str) -> list[object]:
    """Return the elements of a text: a JSON array, or elements separated by commas.

    A comma inside double quotes or braces is part of its element. A quote or brace that is never
    closed is an ordinary character. Elements are trimmed, and empty ones left out. Raises
    `ValueError` for a text that begins like a JSON array and is none.

    >>> list_of('m{a="1",b="2"}, n')
    ['m{a="1",b="2"}', 'n']
    """
    text = text.strip()
    if text.startswith("["):
        try:
            found = decode(text.encode(errors="replace"))
        except Invalid:
            raise ValueError(NOT_A_LIST) from None
        if not isinstance(found, list):
            raise ValueError(NOT_A_LIST)
        return found
    cuts = [-1, *_separating_commas(text), len(text)]
    parts = (text[start + 1 : end].strip() for start, end in pairwise(cuts))
    return [part for part in parts if part]


def _separating_commas(text: str) -> Iterator[int]:
    """Yield the positions of the commas outside of quotes and braces."""
    quoted = dict(_quoted(text))
    closing_of = _closing_braces(text, quoted)
    place = 0
    while place < len(text):
        if place in quoted:
            place = quoted[place]
        elif place in closing_of:
            place = closing_of[place]
        elif text[place] == ",":
            yield place
        place += 1


def _quoted(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each quoted part; a backslash escapes the next character."""
    start = text.find('"')
    while start >= 0:
        place = start + 1
        while place < len(text) and text[place] != '"':
            place += 2 if text[place] == "\\" else 1
        if place >= len(text):
            return
        yield start, place
        start = text.find('"', place + 1)


def _closing_braces(text: str, quoted: dict[int, int]) -> dict[int, int]:
    """Return the position of each opening brace that is closed, with that of its closing one."""
    found: dict[int, int] = {}
    opened: list[int] = []
    place = 0
    while place < len(text):
        if place in quoted:
            place = quoted[place]
        elif text[place] == "{":
            opened.append(place)
        elif text[place] == "}" and opened:
            found[opened.pop()] = place
        place += 1
    return found
