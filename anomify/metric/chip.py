"""Chips: texts that a metric's name must hold, every one of them, whatever the case.

Every search of names goes by this: watchers, lists, counts and events. Where the database does the
looking it compares the folded name that is stored beside each metric's name.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, false

from anomify.metric.folding import fold
from anomify.metric.model import Metric
from anomify.metric.name import has_unseen


def folded(chips: Iterable[str]) -> tuple[str, ...]:
    """Return the chips as they are compared: folded, each once, without blanks around them.

    >>> folded([" CPU", "cpu", " "])
    ('cpu',)
    """
    return tuple(dict.fromkeys(fold(chip.strip()) for chip in chips if chip.strip()))


def is_matched(folded_chips: Sequence[str], folded_name: str) -> bool:
    """Return whether a name holds every chip; both must have been folded.

    >>> is_matched(folded(["CPU", "node"]), "node_cpu_seconds_total")
    True
    """
    return all(chip in folded_name for chip in folded_chips)


def holding(chips: Iterable[str]) -> list[ColumnElement[bool]]:
    """Return the conditions under which the database finds the metrics that hold every chip."""
    # What no name may hold is nothing that the database could be asked for.
    return [
        false() if has_unseen(chip) else Metric.folded_name.contains(chip, autoescape=True)
        for chip in folded(chips)
    ]
