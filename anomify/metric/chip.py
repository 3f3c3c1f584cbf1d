"""Chips: words that a metric's name must hold, every one of them."""

from collections.abc import Iterable, Sequence


def folded(chips: Iterable[str]) -> tuple[str, ...]:
    """Return the chips as they are compared: without regard to upper and lower case."""
    return tuple(chip.lower() for chip in chips)


def is_matched(folded_chips: Sequence[str], folded_name: str) -> bool:
    """Tell whether a name holds every chip; both must have been folded.

    >>> is_matched(folded(["CPU", "node"]), "node_cpu_seconds_total")
    True
    """
    return all(chip in folded_name for chip in folded_chips)
