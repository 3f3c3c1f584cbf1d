"""Suggest chips for a watcher: words of the metric names that it matches so far."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import contains

from anomify.metric.chip import folded
from anomify.metric.folding import fold
from anomify.metric.name import words

SUGGESTIONS_MAX = 20
# Matching metrics are counted only for so many of the most frequent words.
COUNTED_MAX = 25
CHIP_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A chip that could be added, and how many metrics would then match."""

    chip: str
    count: int


def suggestions(names: Iterable[str], chosen: Sequence[str], begun: str = "") -> list[Suggestion]:
    """Return words of the names that hold every chosen chip, those of the most metrics first.

    `begun` is the text typed so far: only words that contain it are returned. Chips that are
    chosen already are left out. The count of each is that of the names that contain it anywhere,
    which is how a watcher with that chip matches them.
    """
    chips, typed = folded(chosen), fold(begun.strip())
    spelled_names = list(names)
    compared = [fold(name) for name in spelled_names]
    # A name that does not contain the typed text has no word that does.
    for chip in (*chips, typed):
        if chip:
            held = [chip in name for name in compared]
            spelled_names = list(compress(spelled_names, held))
            compared = list(compress(compared, held))
    spelled: dict[str, str] = {}
    often: Counter[str] = Counter()
    for word, count in Counter(chain.from_iterable(map(words, spelled_names))).items():
        key = fold(word)
        if typed in key and _can_be_chip(word):
            spelled.setdefault(key, word)
            often[key] += count
    for chip in chips:
        spelled.pop(chip, None)
    # Counting the names that contain a word reads every name, so it is done for few words.
    likely = sorted(spelled, key=lambda key: (key != typed, -often[key], key))[:COUNTED_MAX]
    counts = {key: sum(map(contains, compared, repeat(key))) for key in likely}
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SUGGESTIONS_MAX]
    # A quote is escaped in names, so no name contains a word with one.
    return [Suggestion(spelled[key], count) for key, count in best if count]


def _can_be_chip(word: str) -> bool:
    # A comma ends a chip where lists are written with commas.
    return "," not in word and word == word.strip() and len(word) <= CHIP_MAX_CHARACTERS
