"""Tell contact points that a silence or a maintenance has begun or ended, each exactly once."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from anomify.clock import to_ms
from anomify.contact_point.people import why_not_reached
from anomify.contact_point.queries import contact_points_among
from anomify.delivery.enqueue import add_notice
from anomify.delivery.facts import (
    SILENCE_ENDED,
    SILENCE_STARTED,
    NoticeFacts,
    facts_of_notice,
)
from anomify.delivery.wording_anomaly import duration_in_two_units
from anomify.org.model import Org
from anomify.org.queries import find_org
from anomify.silence.notices import Notice, take_notices
from anomify.silence.wording import affected_in_words

# So many notices are enqueued in one transaction.
AT_ONCE_MOST: Final = 50
_KINDS: Final = {"silence": "Silence", "maintenance": "Maintenance"}


def enqueue_notices(at: datetime) -> int:
    """Enqueue what is due about silences; return how many notices were taken."""
    notices = take_notices(at, AT_ONCE_MOST)
    for notice in notices:
        org = find_org(notice.silence.org_id)
        if org is None:
            continue
        words = notice_in_words(org, notice)
        transition = SILENCE_STARTED if notice.has_begun else SILENCE_ENDED
        for point in contact_points_among(org.id, notice.contact_point_ids).values():
            if why_not_reached(point) is None:
                add_notice(point, facts_of_notice(transition, at, org, point, words), at)
    return len(notices)


def notice_in_words(org: Org, notice: Notice) -> NoticeFacts:
    """Return the words about a silence that has begun or ended."""
    silence, occurrence = notice.silence, notice.occurrence
    kind = _KINDS.get(silence.kind, "Silence")
    affected = affected_in_words(silence)
    zone = ZoneInfo(org.timezone)
    start, end = (
        moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
        for moment in (occurrence.start, occurrence.end)
    )
    lasted = duration_in_two_units((occurrence.end - occurrence.start).total_seconds())
    if notice.has_begun:
        subject = f"{org.name}: {kind.lower()} until {end}"
        sentence = (
            f"{kind} of {org.name} has begun: {affected}. Until {end} anomalies of them are"
            " recorded and nobody is notified."
        )
        headline = f"{kind} has begun"
    else:
        subject = f"{org.name}: {kind.lower()} has ended"
        sentence = (
            f"{kind} of {org.name} has ended after {lasted}: {affected}. What is still unusual is"
            " told now, and what came and went meanwhile is listed."
        )
        headline = f"{kind} has ended"
    lines = (
        ("Affects", affected),
        ("From", start),
        ("Until", end),
        ("Lasts" if notice.has_begun else "Lasted", lasted),
        ("Comment", silence.comment),
        ("Created by", silence.created_by),
    )
    return NoticeFacts(
        subject=subject,
        headline=headline,
        sentence=sentence,
        lines=tuple((name, text) for name, text in lines if text),
        path=f"/ui/silences/{silence.id}",
        link_words="View it",
        because=f"You receive this because a {kind.lower()} of {org.name} names you.",
        data={
            "silence": {
                "id": silence.id,
                "kind": silence.kind,
                "comment": silence.comment,
                "affects": affected,
                "from_timestamp": to_ms(occurrence.start) // 1000,
                "until_timestamp": to_ms(occurrence.end) // 1000,
            }
        },
    )
