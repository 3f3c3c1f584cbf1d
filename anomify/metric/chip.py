"""Chips: texts that must all occur in a metric's name, without regard to case.

All searches by name use them: watchers, lists, counts and events. Searches in the database compare
the folded name that is stored with each metric.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, false

from anomify.metric.folding import fold
from anomify.metric.model import Metric
from anomify.metric.name import has_unseen


def folded(chips: Iterable[str]) -> tuple[str, ...]:
    """Return the chips in the form in which they are compared: folded, unique and trimmed.

    >>> folded([" CPU", "cpu", " "])
    ('cpu',)
    """
    return tuple(dict.fromkeys(fold(chip.strip()) for chip in chips if chip.strip()))


def is_matched(folded_chips: Sequence[str], folded_name: str) -> bool:
    """Return whether a name contains every chip; both must be folded.

    >>> is_matched(folded(["CPU", "node"]), "node_cpu_seconds_total")
    True
    """
    return all(chip in folded_name for chip in folded_chips)


def holding(chips: Iterable[str]) -> list[ColumnElement[bool]]:
    """Return the SQL conditions for metrics whose names contain every chip."""
    # No name contains these characters, and the database cannot store some of them.
    return [
        false() if has_unseen(chip) else Metric.folded_name.contains(chip, autoescape=True)
        for chip in folded(chips)
    ]
