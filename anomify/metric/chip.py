"""Chips: conditions that a metric's name must all fulfil, without regard to case.

A chip is a text that occurs anywhere in the name; `key=value` is also met by a label with that
whole value, and `key!=value` by names without it. A `!` before a chip reverses it. All searches
by name use them: watchers, lists, counts, events and silences. Searches in the database compare
the folded name that is stored with each metric.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, false, not_, or_, true

from anomify.metric.folding import fold
from anomify.metric.model import Metric
from anomify.metric.name import NAME_LABEL, has_unseen, spelled_label

NOT: Final = "!"
# A value that begins with a comma cannot be told from the end of a label before it.
_LABEL: Final = re.compile(r'(?P<label>[^\s"={}!,]+)\s*(?P<operator>!=|=)\s*(?P<value>[^\s,].*)')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])+)"')
_ESCAPED: Final = re.compile(r"\\(.)")
# Ends the escapes of LIKE; no other character has a meaning there.
_LIKE_SPECIAL: Final = re.compile(r"([%_/])")


@dataclass(frozen=True, slots=True)
class ChipCondition:
    """What one chip demands of a folded name: that one of some texts is in it, or that none is."""

    is_negative: bool
    # In the name anywhere.
    texts: tuple[str, ...] = ()
    # In it after a brace, so that they are labels and no part of what stands before them.
    label_texts: tuple[str, ...] = ()
    # The whole name, or what it begins with.
    whole: str = ""
    beginnings: tuple[str, ...] = ()

    def is_met_by(self, folded_name: str) -> bool:
        """Return whether the metric with this folded name fulfils the condition."""
        return self._is_found(folded_name) is not self.is_negative

    def _is_found(self, name: str) -> bool:
        if any(text in name for text in self.texts):
            return True
        if self.label_texts:
            brace = name.find("{")
            return brace >= 0 and any(text in name[brace + 1 :] for text in self.label_texts)
        return bool(self.whole) and (name == self.whole or name.startswith(self.beginnings))

    def in_sql(self) -> ColumnElement[bool]:
        """Return the same as a condition of SQL."""
        name = Metric.folded_name
        found: list[ColumnElement[bool]] = [
            name.contains(text, autoescape=True) for text in self.texts
        ]
        found += [
            name.like("%{%" + _LIKE_SPECIAL.sub(r"/\1", text) + "%", escape="/")
            for text in self.label_texts
        ]
        if self.whole:
            found.append(name == self.whole)
            found += [name.startswith(text, autoescape=True) for text in self.beginnings]
        condition = or_(*found)
        return not_(condition) if self.is_negative else condition


def folded(chips: Iterable[str]) -> tuple[str, ...]:
    """Return the chips in the form in which they are compared: folded, unique and trimmed.

    >>> folded([" CPU", "cpu", " "])
    ('cpu',)
    """
    return tuple(dict.fromkeys(fold(chip.strip()) for chip in chips if chip.strip()))


@lru_cache(maxsize=4096)
def condition_of(folded_chip: str) -> ChipCondition:
    """Return what a folded chip demands of a name.

    >>> [condition_of("!cpu").is_met_by(name) for name in ("cpu.load", "mem.load")]
    [False, True]
    >>> condition_of("host=web").is_met_by('up{host="web1"}')
    False
    """
    is_negative = folded_chip.startswith(NOT) and folded_chip != NOT
    text = folded_chip[len(NOT) :].strip() if is_negative else folded_chip
    if not text:
        return ChipCondition(is_negative=False, texts=(folded_chip,))
    found = _LABEL.fullmatch(text)
    if found is None:
        return ChipCondition(is_negative, texts=(text,))
    if found["operator"] == "!=":
        is_negative = not is_negative
    value = found["value"]
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(r"\1", quoted[1])
    if found["label"] == NAME_LABEL:
        return _of_whole_name(value, is_negative=is_negative)
    spelled = spelled_label(found["label"], value)
    # In names without labels an equals sign is a character like any other.
    as_text = f"{found['label']}={found['value']}"
    return ChipCondition(
        is_negative,
        texts=(as_text, *(f"{{{spelled}{end}" for end in ",}")),
        label_texts=tuple(f",{spelled}{end}" for end in ",}"),
    )


def is_matched(folded_chips: Sequence[str], folded_name: str) -> bool:
    """Return whether a name fulfils every chip; both must be folded.

    >>> is_matched(folded(["CPU", "node", "!idle"]), "node_cpu_seconds_total")
    True
    """
    return all(condition_of(chip).is_met_by(folded_name) for chip in folded_chips)


def holding(chips: Iterable[str]) -> list[ColumnElement[bool]]:
    """Return the SQL conditions for metrics whose names fulfil every chip."""
    return [_in_sql(chip) for chip in folded(chips)]


def _in_sql(chip: str) -> ColumnElement[bool]:
    condition = condition_of(chip)
    if has_unseen(chip):
        # No name contains these characters, and the database cannot store some of them.
        return true() if condition.is_negative else false()
    return condition.in_sql()


def _of_whole_name(value: str, *, is_negative: bool) -> ChipCondition:
    if "{" in value or "}" in value:
        quoted = spelled_label("a", value)[len("a=") :]
        start = "{" + quoted
        return ChipCondition(is_negative, whole=start + "}", beginnings=(start + ",",))
    return ChipCondition(is_negative, whole=value, beginnings=(value + "{",))
