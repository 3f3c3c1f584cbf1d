"""Is this a time to keep still, and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select

from anomify.org.model import Org
from anomify.org.muting import is_muted


@dataclass(frozen=True, slots=True)
class SilenceDecision:
    """A time to keep still."""

    # In words that end a sentence: not told, because ...
    why: str
    until: datetime


def silence_decision(org: Org, at: datetime) -> SilenceDecision | None:
    """Return why watchers of the org are to keep still at that moment; None when they may speak."""
    if org.muted_until is not None and is_muted(org, at):
        return SilenceDecision("the whole org is muted", org.muted_until)
    return None


def silenced_orgs(at: datetime) -> Select[int]:
    """Return the question which orgs are to keep still at that moment, for queries to embed."""
    return select(Org.id).where(Org.muted_until > at)
