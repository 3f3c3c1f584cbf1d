"""Words of metric names: what a watcher is bound to, and which ones to offer next."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anomify.metric.chip import folded, is_matched
from anomify.metric.name import words

SUGGESTIONS_MAX = 20


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A chip that could be added, and how many metrics would then be left."""

    chip: str
    count: int


def suggestions(names: Iterable[str], chosen: Sequence[str], begun: str = "") -> list[Suggestion]:
    """Return the words of the names that hold every chosen chip, the most frequent first.

    `begun` is what somebody has typed so far: only words that hold it are offered. A chip that is
    chosen already is not offered again.
    """
    taken, typed, chips = set(folded(chosen)), begun.lower(), folded(chosen)
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for name in names:
        if not is_matched(chips, name.lower()):
            continue
        found = {}
        for word in words(name):
            key = word.lower()
            # A comma ends a chip, so a word that has one cannot be one.
            if key not in taken and typed in key and "," not in word:
                found[key] = word
        counts.update(found.keys())
        for key, word in found.items():
            spelled.setdefault(key, word)
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SUGGESTIONS_MAX]
    return [Suggestion(spelled[key], count) for key, count in best]
