"""Escalation: contact points that a watcher notifies only where nobody acknowledges."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from anomify.contact_point.queries import contact_points_among
from anomify.watcher.model import Watcher
from anomify.watcher.queries import linked_contacts

RECIPIENTS_MAX: Final = 50
STEPS_MAX: Final = 5
MINUTES_MAX: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """Contact points that are notified where nobody has acknowledged for so long."""

    after_minutes: int
    contact_point_ids: Sequence[int]


def steps_of(watcher: Watcher | None) -> dict[int, int]:
    """Return by contact point id the step at which a watcher notifies it; 0 is at once."""
    if watcher is None or watcher.id is None:
        return {}
    return {found.id: step for step, found in linked_contacts([watcher.id])[watcher.id]}


def escalation_problem(
    org_id: int, steps: Sequence[EscalationStep], at_once: AbstractSet[int]
) -> str | None:
    """Return what is wrong with these steps; `at_once` are notified at the beginning."""
    if len(steps) > STEPS_MAX:
        return f"At most {STEPS_MAX} steps are possible."
    minutes = [step.after_minutes for step in steps]
    if any(not 1 <= each <= MINUTES_MAX for each in minutes):
        return f"after_minutes is from 1 to {MINUTES_MAX:,}."
    if any(later <= earlier for earlier, later in pairwise(minutes)):
        return "after_minutes of each step has to be later than that of the one before."
    if any(not step.contact_point_ids for step in steps):
        return "Each step needs contact_point_ids."
    named = [each for step in steps for each in dict.fromkeys(step.contact_point_ids)]
    if len(named) > RECIPIENTS_MAX:
        return f"At most {RECIPIENTS_MAX} contact points are possible."
    unknown = sorted(set(named) - set(contact_points_among(org_id, named)))
    if unknown:
        return f"Not contact points of your org: {', '.join(map(str, unknown))}."
    again = {each for each in named if named.count(each) > 1} | (set(named) & at_once)
    return twice(again) if again else None


def twice(ids: AbstractSet[int]) -> str:
    """Return the sentence about contact points that are named at more than one step."""
    return f"Each contact point is notified at one step only: {', '.join(map(str, sorted(ids)))}."
