"""Disable and enable patterns together with those derived from them, and accept proposals."""

from collections.abc import Mapping
from datetime import datetime

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.errors import Conflict, Invalid
from anomify.metric.model import Metric
from anomify.metric.name import has_unseen
from anomify.pattern.changes import note_change
from anomify.pattern.model import Pattern, PatternSeries, PatternState
from anomify.pattern.queries import children_of, get_pattern

REASON_CHARACTERS_MAX = 500


def disable_pattern(
    org_id: int, pattern_id: int, *, actor: str, reason: str = ""
) -> tuple[Pattern, list[Pattern]]:
    """Stop using a pattern and all patterns derived from it; return it and those others.

    A proposed pattern is rejected by this. Raises NotFound, Conflict where it is not in use or
    proposed, and Invalid for a reason that is too long or holds characters that nobody sees.
    """
    why = " ".join(reason.split())
    problem = None
    if len(why) > REASON_CHARACTERS_MAX:
        problem = f"A reason has at most {REASON_CHARACTERS_MAX} characters."
    elif has_unseen(why):
        problem = "A reason holds no control or direction characters."
    if problem is not None:
        raise Invalid(problem, fields={"reason": problem})
    pattern = _lock(get_pattern(org_id, pattern_id))
    if pattern.state not in (PatternState.ACTIVE, PatternState.PROPOSED):
        raise Conflict(f"The pattern is {pattern.state} already.", code="not_enabled")
    at = now()
    derived = [
        one
        for one in descendants_of(pattern)
        if one.state in (PatternState.ACTIVE, PatternState.PROPOSED)
    ]
    for one in (pattern, *derived):
        set_state(one, PatternState.DISABLED, by=actor, at=at, reason=why)
    _record(pattern, derived, "pattern.disable", actor, why)
    return pattern, derived


def enable_pattern(org_id: int, pattern_id: int, *, actor: str) -> tuple[Pattern, list[Pattern]]:
    """Use a pattern again, and those that were disabled together with it; return it and these.

    Raises NotFound, and Conflict where it is in use or only proposed.
    """
    pattern = _lock(get_pattern(org_id, pattern_id))
    if pattern.state not in (PatternState.DISABLED, PatternState.RETIRED):
        raise Conflict(f"The pattern is {pattern.state}, not disabled.", code="not_disabled")
    at, disabled_at = now(), pattern.state_at
    derived = [
        one
        for one in descendants_of(pattern)
        if one.state == PatternState.DISABLED and one.state_at == disabled_at
    ]
    for one in (pattern, *derived):
        set_state(one, PatternState.ACTIVE, by=actor, at=at)
    _record(pattern, derived, "pattern.enable", actor)
    return pattern, derived


def enable_or_accept(org_id: int, pattern_id: int, *, actor: str) -> tuple[Pattern, list[Pattern]]:
    """Use a pattern from the next judged point on, be it disabled, retired or only proposed.

    Returns it and those that were enabled with it. Raises NotFound, and Conflict where it is used.
    """
    if get_pattern(org_id, pattern_id).state == PatternState.PROPOSED:
        return accept_pattern(org_id, pattern_id, actor=actor), []
    return enable_pattern(org_id, pattern_id, actor=actor)


def accept_pattern(org_id: int, pattern_id: int, *, actor: str) -> Pattern:
    """Use a proposed pattern from the next judged point on.

    Raises NotFound, and Conflict where it is not proposed.
    """
    pattern = _lock(get_pattern(org_id, pattern_id))
    if pattern.state != PatternState.PROPOSED:
        raise Conflict(f"The pattern is {pattern.state}, not proposed.", code="not_proposed")
    set_state(pattern, PatternState.ACTIVE, by=actor, at=now(), reason="accepted")
    _record(pattern, [], "pattern.accept", actor)
    return pattern


def descendants_of(pattern: Pattern) -> list[Pattern]:
    """Return all patterns derived from this one, directly or not, nearest first."""
    found: list[Pattern] = []
    waiting, known = [pattern], {pattern.id}
    while waiting:
        children = [
            child
            for child in children_of(pattern.org_id, waiting.pop(0).id)
            if child.id not in known
        ]
        known.update(child.id for child in children)
        found += children
        waiting += children
    return found


def set_state(
    pattern: Pattern, state: PatternState, *, by: str, at: datetime, reason: str = ""
) -> None:
    """Set what a pattern is used for, and have the worker apply it."""
    pattern.state = state
    pattern.state_at = at
    pattern.state_by = by
    pattern.state_reason = reason
    note_change(pattern.org_id)


def keep_for_matches(metric: Metric, others: Mapping[int, int], actor: str) -> None:
    """Keep patterns of a metric that is about to be deleted for the matches of others, disabled.

    `others` has the ids of these patterns, each with that of a metric that it has explained: it
    becomes one of that metric, so that the matches can still tell why they were not reported. Of
    the deleted metric's points only those of the excursion stay.
    """
    for pattern_id, metric_id in others.items():
        pattern = get_pattern(metric.org_id, pattern_id)
        if pattern.state in (PatternState.ACTIVE, PatternState.PROPOSED):
            reason = f"Its metric {metric.name} was deleted."
            set_state(pattern, PatternState.DISABLED, by=actor, at=now(), reason=reason)
            _record(pattern, [], "pattern.disable", actor, reason)
        pattern.metric = session().get_one(Metric, metric_id)
        stored = session().get_one(PatternSeries, pattern_id)
        stored.window_points = stored.excursion_points
        stored.window_step_ms = pattern.step_ms
    session().flush()


def _lock(pattern: Pattern) -> Pattern:
    """Lock the row against others who change it, and read its state again."""
    session().refresh(pattern, ["state", "state_at"], with_for_update=True)
    return pattern


def _record(
    pattern: Pattern, derived: list[Pattern], action: str, actor: str, reason: str = ""
) -> None:
    session().flush()
    record_audit(
        pattern.org_id,
        actor=actor,
        action=action,
        target=pattern.metric.name,
        after={
            "pattern": pattern.id,
            "label": pattern.label,
            "reason": reason,
            "derived": [one.id for one in derived],
        },
    )
