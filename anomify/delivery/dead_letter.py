"""Tell the admins of an org of dead messages: at most one letter a day for a contact point."""

from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from anomify.admin_alert.queries import list_admins
from anomify.delivery.model import Delivery
from anomify.org.letter import count_letters, post_letter
from anomify.org.queries import get_org

PURPOSE: Final = "dead_letter"
EVERY: Final = timedelta(days=1)
PAGE: Final = "/ui/alerts"


def tell_admins(delivery: Delivery, problem: str, at: datetime, base_url: str) -> int:
    """Write to the admins that a message was given up; return how many letters were written.

    No admin gets more than one letter a day about a contact point, whatever fails there.
    """
    org = get_org(delivery.org_id)
    purpose = f"{PURPOSE}:{delivery.contact_point_id}"
    written = delivery.created_at.astimezone(ZoneInfo(org.timezone))
    query = urlencode({"state": "dead", "contact_point_id": delivery.contact_point_id or ""})
    what = (
        f"A message to the contact point {delivery.recipient} of {org.name} was given up: it was"
        f" written on {written:%Y-%m-%d at %H:%M %Z} and tried {_times(delivery)}."
    )
    others = (
        "Other messages to this contact point that are given up within a day are listed there, too,"
        " and there is no other letter about them."
    )
    text = (
        f"{what}\n\nThe last answer: {problem}\n\nNobody was told by this message. When"
        f" the fault is mended, send it again here:\n{base_url}{PAGE}?{query}\n\n{others}\n"
    )
    letters = 0
    for admin in list_admins(org.id):
        if count_letters(admin.email, purpose, at - EVERY):
            continue
        subject = f"{org.name}: messages to {delivery.recipient} do not arrive"
        post_letter(admin.email, subject, text, org_id=org.id, purpose=purpose)
        letters += 1
    return letters


def _times(delivery: Delivery) -> str:
    return "once" if delivery.attempts == 1 else f"{delivery.attempts} times"
