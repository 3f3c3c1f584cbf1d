"""Whether notifications of an org are held back at a moment, and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from anomify.org.model import Org
from anomify.org.muting import is_muted


@dataclass(frozen=True, slots=True)
class SilenceDecision:
    """Notifications are held back, until when and why."""

    # Completes the sentence "Not sent because ...".
    why: str
    until: datetime


def silence_decision(org: Org, at: datetime) -> SilenceDecision | None:
    """Return why notifications of the org are held back at that moment; None if they are sent."""
    if org.muted_until is not None and is_muted(org, at):
        return SilenceDecision("the whole org is muted", org.muted_until)
    return None


def silenced_orgs(at: datetime) -> Select[int]:
    """Return a query for the orgs whose notifications are held back, to embed in others."""
    return select(Org.id).where(Org.muted_until > at)
