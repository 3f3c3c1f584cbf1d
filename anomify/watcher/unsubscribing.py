"""Links in mails that stop those of one watcher to one recipient, without signing in."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, or_, select

from anomify.audit.model import AuditEntry
from anomify.audit.recording import record_audit
from anomify.channel.kinds import EMAIL
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import person_of
from anomify.db import session
from anomify.errors import Conflict, NotFound
from anomify.org.lock import lock_org
from anomify.watcher.model import Watcher, WatcherContact
from anomify.watcher.reach import update_reach

PATH: Final = "/ui/unsubscribe"
# The purpose of the key of config.Settings.key_for(); a new number invalidates all links.
KEY_PURPOSE: Final = "unsubscribe-links-1"
ID_MAX: Final = 2**31 - 1
UNSUBSCRIBED: Final = "watcher.unsubscribe"
SUBSCRIBED: Final = "watcher.subscribe"
BY_LINK: Final = (UNSUBSCRIBED, SUBSCRIBED)
_TOKEN: Final = re.compile(
    r"([1-9][0-9]{0,9})\.([1-9][0-9]{0,9})\.([0-9]{1,3})\.([A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class MailSubscription:
    """The mails of a watcher to one recipient."""

    watcher: Watcher
    contact_point: ContactPoint
    # The step at which the recipient is told, when it was subscribed.
    step: int
    is_on: bool

    @property
    def recipient(self) -> str:
        """Return who gets the mails: a user by name, or what the contact point is called."""
        user = person_of(self.contact_point)
        return self.contact_point.name if user is None else user.name


def unsubscribe_token(key: bytes, watcher_id: int, contact_point_id: int, step: int = 0) -> str:
    """Return the token of the link for these mails; it does not expire."""
    return f"{watcher_id}.{contact_point_id}.{step}." + _signature(
        key, watcher_id, contact_point_id, step
    )


def find_subscription(key: bytes, token: str) -> MailSubscription:
    """Return the mails that a token is about. Raises `NotFound` if it is not genuine or gone."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise _unknown()
    watcher_id, contact_point_id, step = (int(found[place]) for place in (1, 2, 3))
    expected = _signature(key, watcher_id, contact_point_id, step)
    if not hmac.compare_digest(expected, found[4]) or max(watcher_id, contact_point_id) > ID_MAX:
        raise _unknown()
    watcher = session().get(Watcher, watcher_id)
    point = session().get(ContactPoint, contact_point_id)
    if (
        watcher is None
        or watcher.deleted_at is not None
        or point is None
        or point.deleted_at is not None
        or point.kind != EMAIL
        or point.org_id != watcher.org_id
    ):
        raise _unknown()
    link = session().get(WatcherContact, (watcher.id, point.id))
    return MailSubscription(watcher, point, step if link is None else link.step, link is not None)


def unsubscribe(key: bytes, token: str) -> MailSubscription:
    """Stop the mails of the watcher to this recipient; once stopped nothing changes.

    Every contact point of the watcher that sends to the same user is taken from it. The admins get
    a letter if nobody is left. Raises `NotFound`.
    """
    lock_org(find_subscription(key, token).watcher.org_id)
    mails = find_subscription(key, token)
    watcher, point = mails.watcher, mails.contact_point
    if mails.is_on:
        for link in _links_to(watcher, point):
            session().delete(link)
        record_audit(
            watcher.org_id,
            actor=mails.recipient,
            action=UNSUBSCRIBED,
            target=watcher.name,
            before={"contact_point": point.name, "step": mails.step},
        )
        update_reach(
            watcher.org_id,
            f"{mails.recipient} stopped the mails of the watcher {watcher.name} by the link in one"
            " of them.",
        )
    return MailSubscription(watcher, point, mails.step, is_on=False)


def subscribe_again(key: bytes, token: str) -> MailSubscription:
    """Undo `unsubscribe`. Raises `NotFound`, or `Conflict` if somebody else stopped the mails."""
    lock_org(find_subscription(key, token).watcher.org_id)
    mails = find_subscription(key, token)
    watcher, point = mails.watcher, mails.contact_point
    if not mails.is_on:
        if not _has_unsubscribed(mails):
            raise Conflict(
                "These mails were not stopped by this link, or the watcher was changed since. A"
                " person who may change it can have them sent again."
            )
        session().add(
            WatcherContact(watcher_id=watcher.id, contact_point_id=point.id, step=mails.step)
        )
        record_audit(
            watcher.org_id,
            actor=mails.recipient,
            action=SUBSCRIBED,
            target=watcher.name,
            after={"contact_point": point.name, "step": mails.step},
        )
        update_reach(watcher.org_id, f"{mails.recipient} wants mails of {watcher.name} again.")
    return MailSubscription(watcher, point, mails.step, is_on=True)


def _has_unsubscribed(mails: MailSubscription) -> bool:
    """Return whether the last thing that happened to these mails is that the link stopped them."""
    watcher, point = mails.watcher, mails.contact_point
    last = session().scalar(
        select(AuditEntry)
        .where(
            AuditEntry.org_id == watcher.org_id,
            or_(
                and_(AuditEntry.target == watcher.name, AuditEntry.action.in_(BY_LINK)),
                and_(
                    AuditEntry.target == f"{watcher.name} ({watcher.id})",
                    AuditEntry.action == "watcher.update",
                ),
            ),
        )
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    if last is None or last.action != UNSUBSCRIBED or last.before is None:
        return False
    return bool(last.before.get("contact_point") == point.name)


def _links_to(watcher: Watcher, point: ContactPoint) -> list[WatcherContact]:
    """Return the links of the watcher to e-mail contact points of the same recipient."""
    is_same = ContactPoint.id == point.id
    if point.user_id is not None:
        is_same = ContactPoint.user_id == point.user_id
    return list(
        session().scalars(
            select(WatcherContact)
            .join(ContactPoint, ContactPoint.id == WatcherContact.contact_point_id)
            .where(WatcherContact.watcher_id == watcher.id, ContactPoint.kind == EMAIL, is_same)
        )
    )


def _signature(key: bytes, watcher_id: int, contact_point_id: int, step: int) -> str:
    digest = hmac.new(key, f"{watcher_id}\n{contact_point_id}\n{step}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def _unknown() -> NotFound:
    return NotFound(
        "These mails do not exist any more, or the link was changed. Nothing more is sent because"
        " of it; if you still get mails, use the link in the latest one."
    )
