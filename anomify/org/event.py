"""Events that people and machines report, such as deploys, drawn on the charts of metrics."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from anomify.audit.recording import record_audit
from anomify.clock import now
from anomify.db import Page, session
from anomify.errors import Invalid
from anomify.org.model import OrgEvent

DEPLOY = "deploy"
CUSTOM = "custom"
TYPES = (DEPLOY, CUSTOM)
TEXT_CHARACTERS_MAX = 500
WORDS_MAX = 20
WORD_CHARACTERS_MAX = 200
# Clocks differ; an event may be this far in the future.
FUTURE = timedelta(minutes=5)
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
# A chart draws the newest events, up to this many.
DRAWN_MAX = 200


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event as it was reported."""

    type: str
    text: str
    occurred_at: datetime
    tags: Sequence[str] = ()
    # It is drawn on charts of metrics whose names contain all these words; empty for all metrics.
    chips: Sequence[str] = ()


def record_event(org_id: int, reported: ReportedEvent, *, actor: str) -> OrgEvent:
    """Store an event; an identical one, as from a job that is run twice, is stored once.

    Raises `Invalid` for an empty text, an unknown type, too many words, and a time before the year
    2000 or after now.
    """
    text = " ".join(reported.text.split())
    _check(reported, text)
    tags, chips = _words(reported.tags), _words(reported.chips)
    events = session().scalars(
        select(OrgEvent).where(
            OrgEvent.org_id == org_id,
            OrgEvent.occurred_at == reported.occurred_at,
            OrgEvent.type == reported.type,
            OrgEvent.text == text,
        )
    )
    for event in events:
        if (event.tags, event.chips) == (tags, chips):
            return event
    event = OrgEvent(
        org_id=org_id,
        type=reported.type,
        text=text,
        tags=tags,
        chips=chips,
        actor=actor,
        occurred_at=reported.occurred_at,
        recorded_at=now(),
    )
    session().add(event)
    session().flush()
    record_audit(org_id, actor=actor, action="event.create", target=text)
    return event


def list_events(
    org_id: int,
    *,
    from_at: datetime,
    until_at: datetime,
    types: Collection[str] = TYPES,
    limit: int = 50,
    offset: int = 0,
) -> Page[OrgEvent]:
    """Return the events of a time window, the latest first."""
    wanted = (
        OrgEvent.org_id == org_id,
        OrgEvent.occurred_at >= from_at,
        OrgEvent.occurred_at < until_at,
        OrgEvent.type.in_(types),
    )
    rows = session().scalars(
        select(OrgEvent)
        .where(*wanted)
        .order_by(OrgEvent.occurred_at.desc(), OrgEvent.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return Page(list(rows), select(func.count()).select_from(OrgEvent).where(*wanted))


def _check(reported: ReportedEvent, text: str) -> None:
    if reported.type not in TYPES:
        raise Invalid("There is no such type of event.", fields={"type": " or ".join(TYPES)})
    if not 1 <= len(text) <= TEXT_CHARACTERS_MAX or not text.isprintable():
        raise Invalid(
            "An event says in a line what happened.",
            fields={"text": f"1 to {TEXT_CHARACTERS_MAX} characters that can be seen."},
        )
    if not OLDEST <= reported.occurred_at <= now() + FUTURE:
        raise Invalid(
            "An event has happened, and after the year 2000.",
            fields={"timestamp": "Unix seconds, not in the future."},
        )
    for field, words in (("tags", reported.tags), ("chips", reported.chips)):
        if len(words) > WORDS_MAX or any(len(word) > WORD_CHARACTERS_MAX for word in words):
            raise Invalid(
                f"These are too many {field}, or too long ones.",
                fields={field: f"At most {WORDS_MAX}, of {WORD_CHARACTERS_MAX} characters each."},
            )


def _words(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))
