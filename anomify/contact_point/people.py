"""Whom a contact point reaches now: the people it names are looked up each time."""

from collections.abc import Mapping

from sqlalchemy import select

from anomify.channel.kind import ChannelKind, Person
from anomify.channel.kinds import KINDS
from anomify.contact_point.model import ContactPoint
from anomify.db import among, session
from anomify.user.model import User

# A setting with the ids of users; the channel gets their Slack ids as MENTIONS instead.
MENTIONED_USERS = "mentioned_user_ids"
MENTIONS = "mentions"


def person_of(contact_point: ContactPoint) -> User | None:
    """Return the user whom the contact point names; None without one, or one of another org."""
    if contact_point.user_id is None:
        return None
    user = session().get(User, contact_point.user_id)
    return user if user is not None and user.org_id == contact_point.org_id else None


def why_not_reached(contact_point: ContactPoint) -> str | None:
    """Return in a sentence why messages to it cannot arrive now; None if they can."""
    if contact_point.deleted_at is not None:
        return "The contact point has been deleted."
    if contact_point.stopped_at is not None:
        return "The receiver answered that it is gone (410); save the contact point again."
    kind = KINDS.get(contact_point.kind)
    if kind is None:
        return "This server cannot send messages of this kind."
    if contact_point.user_id is not None:
        return _why_person_not_reached(contact_point, kind)
    if kind.person is Person.EMAIL and contact_point.confirmed_at is None:
        return "The owner of the e-mail address has not confirmed it yet."
    return None


def with_people(contact_point: ContactPoint, values: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with what the people named in them have now: address, phone, Slack id."""
    filled = dict(values)
    kind, user = KINDS.get(contact_point.kind), person_of(contact_point)
    if user is not None and kind is not None:
        by_phone = kind.person is Person.PHONE
        filled[kind.address_setting] = (user.phone_number or "") if by_phone else user.email
    mentioned = mentioned_ids(filled)
    filled.pop(MENTIONED_USERS, None)
    if mentioned:
        members = _slack_members(contact_point.org_id, mentioned)
        filled[MENTIONS] = ",".join(filter(None, (filled.get(MENTIONS, ""), *members)))
    return filled


def mentioned_ids(values: Mapping[str, str]) -> list[int]:
    """Return the ids of the users whom a Slack message mentions."""
    return [int(each) for each in values.get(MENTIONED_USERS, "").split(",") if each]


def address_of(contact_point: ContactPoint, values: Mapping[str, str]) -> str:
    """Return the address, number or URL among the settings; empty for kinds without one."""
    kind = KINDS.get(contact_point.kind)
    return "" if kind is None else values.get(kind.address_setting, "")


def _why_person_not_reached(contact_point: ContactPoint, kind: ChannelKind) -> str | None:
    user = person_of(contact_point)
    if user is None:
        return "This person is not a user of the org any more."
    if kind.person is Person.EMAIL and not user.wants_email_alerts:
        return f"{user.name} does not want e-mails."
    if kind.person is Person.PHONE and not user.phone_number:
        return f"{user.name} has no phone number."
    return None


def _slack_members(org_id: int, user_ids: list[int]) -> list[str]:
    rows = session().scalars(
        select(User.slack_member_id)
        .where(User.org_id == org_id, among(User.id, user_ids), User.slack_member_id.is_not(None))
        .order_by(User.id)
    )
    return [member for member in rows if member]
