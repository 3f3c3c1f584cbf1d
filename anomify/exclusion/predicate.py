"""The kinds of exclusion rules, and for each rule a predicate on metric names."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from anomify.errors import Invalid
from anomify.exclusion.model import PATTERN_CHARACTERS_MAX
from anomify.metric.folding import fold
from anomify.metric.name import (
    NAME_LABEL,
    NameRefused,
    composed_name,
    has_unseen,
    parse_name,
    plain_or_labelled_name,
    spelled_label,
)
from anomify.metric.regex import compile_regex

# Compiled rules are kept; an org has at most 200, and most orgs have none.
COMPILED_MAX: Final = 2048

# Returns whether a rule matches a metric's canonical name.
Predicate = Callable[[str], bool]


class ExclusionKind(StrEnum):
    """The kinds of rules."""

    EXACT = "exact"
    PREFIX = "prefix"
    CONTAINS = "contains"
    REGEX = "regex"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class Described:
    """The description of a kind for people."""

    kind: ExclusionKind
    name: str
    description: str
    example: str


KINDS: Final = (
    Described(
        ExclusionKind.EXACT,
        "Exact name",
        "Hits the one metric of this name, its labels in whatever order.",
        "staging.web.requests",
    ),
    Described(
        ExclusionKind.PREFIX,
        "Beginning",
        "Hits every metric whose name begins like this, whatever the case.",
        "staging.",
    ),
    Described(
        ExclusionKind.CONTAINS,
        "Part of the name",
        "Hits every metric whose name, labels and all, holds this text, whatever the case.",
        "_bucket",
    ),
    Described(
        ExclusionKind.REGEX,
        "Regular expression",
        "Hits every metric in whose name this RE2 expression is found; anchor it with ^ and $,"
        " and begin with (?i) where capitals do not count.",
        r"^ci\.job-\d+\.",
    ),
    Described(
        ExclusionKind.LABEL,
        "Label",
        "Hits every metric with this label of exactly this value, written label=value.",
        "env=staging",
    ),
)


def canonical_pattern(kind: ExclusionKind, pattern: str) -> str:
    """Return the canonical spelling of a pattern, by which duplicates are found. Raises Invalid."""
    if not pattern:
        raise _invalid("Say which names the rule is to hit.")
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        raise _invalid(f"A pattern has at most {PATTERN_CHARACTERS_MAX} characters.")
    if has_unseen(pattern):
        raise _invalid("No metric's name holds control or direction characters.")
    if kind is ExclusionKind.REGEX:
        predicate_of(kind, pattern)
        return pattern
    composed = unicodedata.normalize("NFC", pattern)
    if kind is ExclusionKind.EXACT:
        name = plain_or_labelled_name(composed)
        if isinstance(name, NameRefused):
            raise _invalid(f"No metric can have this name: {name.reason}.")
        if len(name) > PATTERN_CHARACTERS_MAX:
            raise _invalid(f"A pattern has at most {PATTERN_CHARACTERS_MAX} characters.")
        return name
    if kind is ExclusionKind.LABEL:
        label, _, value = (part.strip() for part in composed.partition("="))
        if not label or not value:
            raise _invalid("Write a label and its value, such as env=staging.")
        return f"{label}={value}"
    return composed


def compared_pattern(kind: ExclusionKind, pattern: str) -> str:
    """Return a text that is equal for two canonical patterns that match the same names."""
    return fold(pattern) if kind in {ExclusionKind.PREFIX, ExclusionKind.CONTAINS} else pattern


@lru_cache(maxsize=COMPILED_MAX)
def predicate_of(kind: ExclusionKind, pattern: str) -> Predicate:
    """Return the predicate of a rule in its canonical spelling. Raises Invalid for a bad regex."""
    if kind is ExclusionKind.EXACT:
        return lambda name: composed_name(name) == pattern
    if kind is ExclusionKind.PREFIX:
        beginning = compared_pattern(kind, pattern)
        return lambda name: fold(name).startswith(beginning)
    if kind is ExclusionKind.CONTAINS:
        part = compared_pattern(kind, pattern)
        return lambda name: part in fold(name)
    if kind is ExclusionKind.REGEX:
        return _found_by(pattern)
    label, _, value = pattern.partition("=")
    hits = _named(value) if label == NAME_LABEL else _labelled(label, value)
    return lambda name: hits(composed_name(name))


def _found_by(pattern: str) -> Predicate:
    try:
        search = compile_regex(pattern).search
    except Invalid as problem:
        raise _invalid(problem.message) from None

    def hits(name: str) -> bool:
        if search(name) is not None:
            return True
        composed = composed_name(name)
        return composed != name and search(composed) is not None

    return hits


def _named(value: str) -> Predicate:
    labelled = value + "{"

    def hits(name: str) -> bool:
        if name == value or name.startswith(labelled):
            return True
        # A name with braces is written in quotes among its labels.
        labels = parse_name(name) if name.startswith('{"') else ()
        return not isinstance(labels, NameRefused) and (NAME_LABEL, value) in labels

    return hits


def _labelled(label: str, value: str) -> Predicate:
    # In a canonical name a label has one spelling; searching for it is faster than parsing.
    spelled = spelled_label(label, value)
    first, later = "{" + spelled, "," + spelled
    # Only for these can the end of one value and the start of the next look like such a label.
    is_ambiguous = spelled.startswith('"') or value[0] in ",}"

    def hits(name: str) -> bool:
        begin = name.find("{")
        if begin < 0 or not (name.startswith(first, begin) or name.find(later, begin) > 0):
            return False
        if not is_ambiguous:
            return True
        labels = parse_name(name)
        return not isinstance(labels, NameRefused) and (label, value) in labels

    return hits


def _invalid(message: str) -> Invalid:
    return Invalid(message, fields={"pattern": message})
