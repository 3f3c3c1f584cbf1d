"""What the fields of watchers show of their contact points."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomify.channel.kinds import EMAIL, WEBHOOK
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import why_not_reached
from anomify.watcher.contacts import SMS, TEAMS, WatcherContacts
from anomify.watcher.model import Watcher
from anomify.watcher.queries import linked_contacts


@dataclass(frozen=True, slots=True)
class ShownContact:
    """A contact point of a watcher."""

    contact_point: ContactPoint
    step: int
    # Why messages to it cannot arrive now.
    problem: str | None


@dataclass(frozen=True, slots=True)
class ShownContacts:
    """Whom a watcher notifies, as its fields name them."""

    contacts: tuple[ShownContact, ...]
    email_user_ids: tuple[int, ...]
    sms_user_ids: tuple[int, ...]
    slack_channel: str
    slack_mention_user_ids: tuple[int, ...]
    teams_webhook: str | None
    webhook_url: str | None
    is_webhook_stopped: bool


def shown_contacts(
    watchers: Sequence[Watcher], reader: WatcherContacts
) -> dict[int, ShownContacts]:
    """Return by watcher id whom it notifies."""
    linked = linked_contacts([watcher.id for watcher in watchers])
    return {watcher.id: _shown(linked[watcher.id], reader) for watcher in watchers}


def _shown(linked: Sequence[tuple[int, ContactPoint]], reader: WatcherContacts) -> ShownContacts:
    points = [found for step, found in linked if not step]
    slack = reader.slack_of(points)
    return ShownContacts(
        contacts=tuple(ShownContact(found, step, why_not_reached(found)) for step, found in linked),
        email_user_ids=_people(points, EMAIL),
        sms_user_ids=_people(points, SMS),
        slack_channel=slack.channel,
        slack_mention_user_ids=slack.mention_user_ids,
        teams_webhook=reader.url_of(points, TEAMS),
        webhook_url=reader.url_of(points, WEBHOOK),
        is_webhook_stopped=any(
            found.kind == WEBHOOK and found.is_automatic and found.stopped_at is not None
            for found in points
        ),
    )


def _people(points: Sequence[ContactPoint], kind: str) -> tuple[int, ...]:
    return tuple(
        found.user_id
        for found in points
        if found.kind == kind and found.is_automatic and found.user_id is not None
    )
