"""The patterns of one training as one thing: lists of them, and disabling them together."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from anomify.db import Page, among, session
from anomify.pattern.lineage import disable_pattern, enable_or_accept
from anomify.pattern.model import Pattern, PatternState
from anomify.pattern.queries import MOST_PATTERNS, get_pattern

_IN_USE_OR_PROPOSED = (PatternState.ACTIVE, PatternState.PROPOSED)


def list_pattern_groups(
    org_id: int,
    *,
    metric_id: int | None = None,
    states: Collection[PatternState] = tuple(PatternState),
    limit: int = 50,
    offset: int = 0,
) -> Page[Pattern]:
    """List the first pattern of each training that has a pattern in these states.

    The newest come first; metrics are loaded.
    """
    chosen = select(Pattern.group_id).where(Pattern.org_id == org_id, Pattern.state.in_(states))
    wanted = [Pattern.org_id == org_id, Pattern.id == Pattern.group_id, Pattern.id.in_(chosen)]
    if metric_id is not None:
        wanted.append(Pattern.metric_id == metric_id)
    rows = session().scalars(
        select(Pattern)
        .where(*wanted)
        .order_by(Pattern.created_at.desc(), Pattern.id.desc())
        .limit(min(limit, MOST_PATTERNS))
        .offset(offset)
        .options(joinedload(Pattern.metric))
    )
    return Page(list(rows), select(func.count()).select_from(Pattern).where(*wanted))


def members_of(org_id: int, patterns: Iterable[Pattern]) -> dict[int, list[Pattern]]:
    """Return all patterns of the trainings of these patterns, by group, the longest first."""
    found: dict[int, list[Pattern]] = {}
    rows = session().scalars(
        select(Pattern)
        .where(
            Pattern.org_id == org_id,
            among(Pattern.group_id, {group_of(pattern) for pattern in patterns}),
        )
        .order_by(Pattern.duration_seconds.desc(), Pattern.id)
        .options(joinedload(Pattern.metric))
    )
    for pattern in rows:
        found.setdefault(group_of(pattern), []).append(pattern)
    return found


def group_of(pattern: Pattern) -> int:
    """Return the number that all patterns of one training share."""
    return pattern.group_id if pattern.group_id is not None else pattern.id


def disable_group(org_id: int, pattern_id: int, *, actor: str, reason: str = "") -> list[Pattern]:
    """Stop using all patterns of a training, and those derived from them; return them.

    A proposed one is refused by this. Raises NotFound, Conflict where none is in use or proposed,
    and Invalid for a reason that is too long.
    """
    pattern = get_pattern(org_id, pattern_id)
    members = _in_states(org_id, pattern, _IN_USE_OR_PROPOSED)
    changed: list[Pattern] = []
    # Without any of them the first call raises the conflict.
    for member in members or [pattern]:
        if member not in changed:
            one, derived = disable_pattern(org_id, member.id, actor=actor, reason=reason)
            changed += [one, *derived]
    return changed


def enable_group(org_id: int, pattern_id: int, *, actor: str) -> list[Pattern]:
    """Use all patterns of a training again, or accept a proposed one; return them.

    Raises NotFound, and Conflict where all are in use.
    """
    pattern = get_pattern(org_id, pattern_id)
    unused = [state for state in PatternState if state is not PatternState.ACTIVE]
    changed: list[Pattern] = []
    for member in _in_states(org_id, pattern, unused) or [pattern]:
        if member not in changed:
            one, derived = enable_or_accept(org_id, member.id, actor=actor)
            changed += [one, *derived]
    return changed


def _in_states(
    org_id: int, pattern: Pattern, states: Collection[PatternState]
) -> Sequence[Pattern]:
    members = members_of(org_id, [pattern]).get(group_of(pattern), [pattern])
    return [member for member in members if member.state in states]
