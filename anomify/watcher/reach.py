"""Watchers that would notify nobody: found after each change, and reported to the org's admins."""

from collections.abc import Sequence
from datetime import datetime

from anomify.admin_alert.queries import list_admins
from anomify.channel.message import Receipt
from anomify.clock import now
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.db import session
from anomify.org.letter import post_letter
from anomify.org.queries import get_org
from anomify.watcher.model import Watcher
from anomify.watcher.queries import linked_contacts, list_alerting_watchers

LETTER_PURPOSE = "watcher_unreached"
NO_CONTACT = "It notifies nobody: no contact point is chosen."
# The most watchers that a letter names.
NAMED_MAX = 20


def why_unreached(watchers: Sequence[Watcher]) -> dict[int, str]:
    """Return by id why the messages of a watcher would reach nobody now; most are not in it."""
    linked = linked_contacts([watcher.id for watcher in watchers])
    reasons: dict[int, str | None] = {}
    unreached = {}
    for watcher in watchers:
        contacts = [found for _, found in linked[watcher.id]]
        for found in contacts:
            if found.id not in reasons:
                reasons[found.id] = why_not_reached(found)
        said = [(found.name, reasons[found.id]) for found in contacts]
        if all(reason for _, reason in said):
            told = " ".join(f"{name}: {reason}" for name, reason in said)
            unreached[watcher.id] = f"It reaches nobody now. {told}" if told else NO_CONTACT
    return unreached


def update_reach(org_id: int, happened: str) -> None:
    """Find alerting watchers whose last recipient has gone, and write to the org's admins once.

    Call it in the transaction of each change of contact points and people. `happened` is the
    change as a sentence, for the letter.
    """
    session().flush()
    watchers = list_alerting_watchers(org_id)
    unreached = why_unreached(watchers)
    newly = []
    for watcher in watchers:
        if watcher.id not in unreached:
            watcher.unreached_at = None
        elif watcher.unreached_at is None:
            watcher.unreached_at = now()
            newly.append((watcher, unreached[watcher.id]))
    if newly:
        _write_to_admins(org_id, newly, happened)


def note_receipt(contact_point: ContactPoint, receipt: Receipt) -> None:
    """Store on a contact point what came of an attempt; one whose receiver is gone is stopped."""
    if receipt.is_delivered:
        contact_point.delivered_at, contact_point.problem = now(), None
        return
    contact_point.problem = receipt.problem
    if receipt.is_gone:
        stop_contact_point(contact_point, now())


def stop_contact_point(contact_point: ContactPoint, at: datetime) -> None:
    """Send nothing there until its settings are saved again: its receiver is gone for good."""
    if contact_point.stopped_at is None:
        contact_point.stopped_at = at
        update_reach(
            contact_point.org_id,
            f"The receiver of the contact point {contact_point.name} answered that it is gone for"
            " good (410), so nothing is sent there any more.",
        )


def _write_to_admins(org_id: int, newly: Sequence[tuple[Watcher, str]], happened: str) -> None:
    org = get_org(org_id)
    one = newly[0][0].name
    subject = (
        f"{org.name}: the watcher {one} notifies nobody any more"
        if len(newly) == 1
        else f"{org.name}: {len(newly)} watchers notify nobody any more"
    )
    lines = [f"- {watcher.name}. {reason}" for watcher, reason in newly[:NAMED_MAX]]
    if len(newly) > NAMED_MAX:
        lines.append(f"- and {len(newly) - NAMED_MAX} more")
    text = "\n".join(
        (
            happened,
            "",
            "These watchers are switched on, and anomalies that they find reach nobody:",
            "",
            *lines,
            "",
            "Choose whom they notify, or switch them off. Anomalies are still recorded.",
            "",
        )
    )
    for admin in list_admins(org_id):
        post_letter(admin.email, subject, text, org_id=org_id, purpose=LETTER_PURPOSE)
