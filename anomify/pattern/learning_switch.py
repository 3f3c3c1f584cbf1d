"""Switch the patterns that the product proposes by itself on or off."""

from sqlalchemy import select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import session
from anomify.org.model import Org
from anomify.pattern.lineage import set_state
from anomify.pattern.model import (
    MACHINE,
    Pattern,
    PatternOrigin,
    PatternState,
)


def set_learning(org_id: int, *, is_on: bool, actor: str) -> bool:
    """Switch proposals of an org on or off; return whether that is a change.

    Switched off, patterns that the product has found and no person has accepted are retired.
    """
    org = session().get_one(Org, org_id)
    if org.learns_patterns == is_on:
        return False
    org.learns_patterns = is_on
    retired = []
    if not is_on:
        at = now()
        rows = session().scalars(
            select(Pattern).where(
                Pattern.org_id == org_id,
                Pattern.origin == PatternOrigin.LEARNT,
                Pattern.state.in_((PatternState.PROPOSED.value, PatternState.ACTIVE.value)),
                Pattern.state_by == MACHINE,
            )
        )
        for pattern in rows:
            reason = "Learning was switched off."
            set_state(pattern, PatternState.RETIRED, by=actor, at=at, reason=reason)
            retired.append(pattern.id)
    record_audit(
        org_id,
        actor=actor,
        action="org.learning",
        target=org.name,
        before={"learns_patterns": not is_on},
        after={"learns_patterns": is_on, "retired": retired},
    )
    return True
