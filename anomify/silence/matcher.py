"""Matchers of labels, written and compared as in Prometheus Alertmanager."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from anomify.errors import Invalid
from anomify.metric.name import has_unseen
from anomify.metric.regex import compile_regex

VALUE_CHARACTERS_MAX: Final = 512
LABEL_CHARACTERS_MAX: Final = 200
TEXT_CHARACTERS_MAX: Final = 2 * (VALUE_CHARACTERS_MAX + LABEL_CHARACTERS_MAX) + 8
COMPILED_MAX: Final = 2048

# Returns whether a matcher matches a set of labels, by name; a missing label has an empty value.
LabelsPredicate = Callable[[Mapping[str, str]], bool]

_OPERATOR: Final = re.compile(r"=~|!~|!=|=")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\n])')
_UNESCAPES: Final = {'"': '"', "\\": "\\", "n": "\n"}
_HOW: Final = 'Write a label, =, !=, =~ or !~, and a value, such as env=~"staging|dev"'


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label, an operator (`=`, `!=`, `=~` or `!~`) and a value or RE2 expression."""

    label: str
    operator: str
    value: str

    @property
    def text(self) -> str:
        """Return the matcher as people write it."""
        label = self.label if _is_plain(self.label) else _quoted(self.label)
        return f"{label}{self.operator}{_quoted(self.value)}"


def read_matcher(text: str) -> Matcher:
    """Return the matcher that a text describes; quotes around label and value may be left out.

    Raises Invalid with a sentence for people.

    >>> read_matcher('env =~ "staging|dev"')
    Matcher(label='env', operator='=~', value='staging|dev')
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise Invalid(f"A matcher has at most {TEXT_CHARACTERS_MAX:,} characters.")
    text = text.strip()
    quoted = _QUOTED.match(text)
    found = _OPERATOR.match(text[quoted.end() :].lstrip()) if quoted else _OPERATOR.search(text)
    if found is None:
        raise Invalid(f"{_HOW}.")
    if quoted:
        label, rest = _unescaped(quoted[1]), text[quoted.end() :].lstrip()[found.end() :]
    else:
        label, rest = text[: found.start()].strip(), text[found.end() :]
    return checked(Matcher(label, found[0], _value(rest.strip())))


def checked(matcher: Matcher) -> Matcher:
    """Return the matcher with its texts in Unicode form NFC.

    Raises Invalid if no label can be so, or if the value of a regular expression is none.
    """
    label = unicodedata.normalize("NFC", matcher.label)
    value = unicodedata.normalize("NFC", matcher.value)
    if not label:
        raise Invalid(f"{_HOW}: the label is missing.")
    if len(label) > LABEL_CHARACTERS_MAX:
        raise Invalid(f"A label in a matcher has at most {LABEL_CHARACTERS_MAX} characters.")
    if len(value) > VALUE_CHARACTERS_MAX:
        raise Invalid(f"The value of a matcher has at most {VALUE_CHARACTERS_MAX} characters.")
    if has_unseen(label) or has_unseen(value):
        raise Invalid("A matcher holds no control or direction characters.")
    if matcher.operator not in {"=", "!=", "=~", "!~"}:
        raise Invalid(f"{_HOW}.")
    made = Matcher(label, matcher.operator, value)
    predicate_of(made)
    return made


@lru_cache(maxsize=COMPILED_MAX)
def predicate_of(matcher: Matcher) -> LabelsPredicate:
    """Return the predicate of a matcher. Raises Invalid for a bad regular expression."""
    label, value = matcher.label, matcher.value
    if matcher.operator == "=":
        return lambda labels: labels.get(label, "") == value
    if matcher.operator == "!=":
        return lambda labels: labels.get(label, "") != value
    fits = compile_regex(value).fullmatch
    if matcher.operator == "=~":
        return lambda labels: fits(labels.get(label, "")) is not None
    return lambda labels: fits(labels.get(label, "")) is None


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        raise Invalid(f"{_HOW}: the quotes around the value do not end where it ends.")
    return _unescaped(quoted[1])


def _is_plain(label: str) -> bool:
    return not any(character in label for character in '=!~"{},') and label == label.strip()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _unescaped(text: str) -> str:
    # A backslash before another character is part of an expression, such as \d.
    return _ESCAPED.sub(lambda found: _UNESCAPES[found[1]], text)
