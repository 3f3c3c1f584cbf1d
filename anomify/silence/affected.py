"""Which metrics a silence is about: one, those that chips and matchers match, or all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from anomify.metric.chip import folded, is_matched
from anomify.metric.folding import fold
from anomify.metric.name import NameRefused, composed_name, parse_name
from anomify.silence.matcher import Matcher, predicate_of, read_matcher
from anomify.silence.model import Silence

# A chip that begins so is a text that no name contains.
NOT: Final = "!"

Predicate = Callable[["NameParts"], bool]


class NameParts:
    """A metric's name in the forms in which it is compared, each computed once if it is needed."""

    def __init__(self, name: str) -> None:
        """Take the canonical name."""
        self.composed = composed_name(name)

    @cached_property
    def folded(self) -> str:
        """Return the name without regard to case."""
        return fold(self.composed)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Return the labels by name, `__name__` among them."""
        labels = parse_name(self.composed)
        return {} if isinstance(labels, NameRefused) else dict(labels)


@dataclass(frozen=True, slots=True)
class Affected:
    """Metrics of this name that every matcher and chip matches; without any of these, all."""

    metric: str | None = None
    matchers: tuple[Matcher, ...] = ()
    chips: tuple[str, ...] = ()

    def predicate(self) -> Predicate:
        """Return the function that tells whether the metric of a name is among them."""
        name = None if self.metric is None else composed_name(self.metric)
        wanted = folded(self.chips)
        conditions = [predicate_of(matcher) for matcher in self.matchers]

        def hits(parts: NameParts) -> bool:
            if name is not None and parts.composed != name:
                return False
            if wanted and not is_matched(wanted, parts.folded):
                return False
            return all(condition(parts.labels) for condition in conditions)

        return hits


def affected_by(silence: Silence) -> Affected:
    """Return which metrics a stored silence is about."""
    return Affected(
        silence.metric, tuple(map(read_matcher, silence.matchers)), tuple(silence.chips)
    )


def split_chips(chips: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the chips that a name has to contain, and the texts that it must not contain.

    >>> split_chips(["cpu", "!staging"])
    (['cpu'], ['staging'])
    """
    return (
        [chip for chip in chips if not chip.startswith(NOT)],
        [chip[len(NOT) :] for chip in chips if chip.startswith(NOT)],
    )
