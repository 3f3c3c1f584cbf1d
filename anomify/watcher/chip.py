"""Suggest chips for a watcher: words and labels of the metric names that it matches so far."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import contains

from anomify.metric.chip import NOT, condition_of, folded
from anomify.metric.folding import fold
from anomify.metric.name import NAME_LABEL, NameRefused, parse_name, words

SUGGESTIONS_MAX = 20
# So many of them at most are labels, where there are enough words.
LABELS_MAX = 8
# Matching metrics are counted only for so many of the most frequent words, and of the labels.
COUNTED_MAX = 25
CHIP_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A chip that could be added, and how many metrics would then match."""

    chip: str
    count: int


def suggestions(names: Iterable[str], chosen: Sequence[str], begun: str = "") -> list[Suggestion]:
    """Return words and labels of the names that fulfil every chosen chip, the most frequent first.

    `begun` is the text typed so far: only those that contain it are returned. Chips that are
    chosen already are left out. The count of each is that of the names that a watcher with that
    chip, too, would match. An exclamation mark at the beginning suggests what to leave out.
    """
    chips, typed = folded(chosen), fold(begun.strip())
    is_negative = typed.startswith(NOT)
    typed = typed.removeprefix(NOT).strip()
    spelled_names = list(names)
    compared = [fold(name) for name in spelled_names]
    for chip in chips:
        spelled_names, compared = _kept(spelled_names, compared, condition_of(chip).is_met_by)
    every = len(compared)
    all_names = compared
    if typed and "=" not in typed:
        # A name that does not contain the typed text has no word that does.
        spelled_names, compared = _kept(spelled_names, compared, lambda name: typed in name)
    found = _counted(
        _ranked(Counter(chain.from_iterable(map(words, spelled_names))), typed, chips),
        lambda chip: sum(map(contains, all_names, repeat(chip))),
    )
    labels = _counted(
        _ranked(Counter(chain.from_iterable(map(_labels, spelled_names))), typed, chips),
        lambda chip: sum(map(condition_of(chip).is_met_by, all_names)),
    )
    best = labels[: max(LABELS_MAX, SUGGESTIONS_MAX - len(found))]
    best = [*found[: SUGGESTIONS_MAX - len(best)], *best]
    best.sort(key=lambda suggestion: -suggestion.count)
    if not is_negative:
        return best
    left_out = [Suggestion(NOT + each.chip, every - each.count) for each in best]
    left_out.sort(key=lambda suggestion: -suggestion.count)
    return [each for each in left_out if fold(each.chip) not in chips]


def _kept(
    spelled: list[str], compared: list[str], is_kept: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    held = [is_kept(name) for name in compared]
    return list(compress(spelled, held)), list(compress(compared, held))


def _ranked(counted: Counter[str], typed: str, chosen: Sequence[str]) -> dict[str, str]:
    """Return by folded chip how it is spelled: those that will most probably match the most."""
    spelled: dict[str, str] = {}
    often: Counter[str] = Counter()
    for chip, count in counted.items():
        key = fold(chip)
        if typed in key and _can_be_chip(chip):
            spelled.setdefault(key, chip)
            often[key] += count
    for chip in chosen:
        spelled.pop(chip, None)
    # Counting the names that match reads every name, so it is done for few.
    likely = sorted(spelled, key=lambda key: (key != typed, -often[key], key))[:COUNTED_MAX]
    return {key: spelled[key] for key in likely}


def _counted(likely: dict[str, str], count: Callable[[str], int]) -> list[Suggestion]:
    counts = {key: count(key) for key in likely}
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    # A quote is escaped in names, so no name contains a word with one.
    return [Suggestion(likely[key], found) for key, found in best if found]


def _labels(name: str) -> list[str]:
    """Return the labels of a name as chips.

    >>> _labels('up{env="prod",host="a"}')
    ['env=prod', 'host=a']
    """
    if "{" not in name:
        return []
    labels = parse_name(name)
    if isinstance(labels, NameRefused):
        return []
    return [f"{label}={value}" for label, value in labels if label != NAME_LABEL]


def _can_be_chip(word: str) -> bool:
    # A comma ends a chip where lists are written with commas.
    is_plain = "," not in word and word == word.strip() and not word.startswith(NOT)
    return is_plain and len(word) <= CHIP_MAX_CHARACTERS
