"""Mute a whole org for some minutes: anomalies are recorded, and nobody is notified."""

import math
from datetime import datetime, timedelta

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.errors import Invalid
from anomify.org.model import Org
from anomify.org.queries import get_org

# Thirty days; a longer mute is more likely forgotten than wanted.
MINUTES_MAX = 43_200


def mute_org(org_id: int, minutes: int, *, actor: str) -> Org:
    """Mute the org for this many minutes from now on, and return the org; 0 ends a mute.

    Raises `Invalid` for a negative number and for more than 30 days.
    """
    if not 0 <= minutes <= MINUTES_MAX:
        raise Invalid(
            "An org can be muted for up to 30 days.",
            fields={"mute_minutes": f"0 to {MINUTES_MAX:,}; 0 ends the mute."},
        )
    org, at = get_org(org_id), now()
    before = org.muted_until if is_muted(org, at) else None
    if not minutes and before is None:
        return org
    org.muted_until = at + timedelta(minutes=minutes) if minutes else None
    record_audit(
        org_id,
        actor=actor,
        action="org.mute" if minutes else "org.unmute",
        target=org.name,
        before={"muted_until": before},
        after={"muted_until": org.muted_until},
    )
    return org


def is_muted(org: Org, at: datetime) -> bool:
    """Return whether the org is muted at that moment."""
    return org.muted_until is not None and org.muted_until > at


def minutes_left(org: Org, at: datetime) -> int:
    """Return how many minutes the mute still lasts, rounded up; 0 without a mute."""
    if org.muted_until is None:
        return 0
    return max(math.ceil((org.muted_until - at).total_seconds() / 60), 0)
