"""Whom a contact point reaches now: the people it names are looked up each time."""

from collections.abc import Mapping

from sqlalchemy import select

from anomify.contact_point.model import ContactPoint
from anomify.db import among, session
from anomify.user.model import User

EMAIL = "email"
SMS = "sms"
SLACK = "slack"
# Settings in which ids of users stand; a channel gets what they stand for instead.
MENTIONED_USERS = "mentioned_user_ids"
MENTIONS = "mentions"
ADDRESS = "address"
TO = "to"
# Where the settings of each kind state what is called; the first that is there is taken.
_ADDRESS_SETTINGS = (ADDRESS, TO, "url", "webhook_url", "chat_id", "channel")


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
    if contact_point.kind not in {EMAIL, SMS}:
        return None
    if contact_point.user_id is not None:
        return _why_person_not_reached(contact_point)
    if contact_point.kind == EMAIL and contact_point.confirmed_at is None:
        return "The owner of the e-mail address has not confirmed it yet."
    return None


def with_people(contact_point: ContactPoint, values: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with what the people named in them have now: address, phone, Slack id."""
    filled = dict(values)
    user = person_of(contact_point)
    if user is not None and contact_point.kind == EMAIL:
        filled[ADDRESS] = user.email
    if user is not None and contact_point.kind == SMS:
        filled[TO] = user.phone_number or ""
    mentioned = mentioned_ids(filled)
    filled.pop(MENTIONED_USERS, None)
    if mentioned:
        members = _slack_members(contact_point.org_id, mentioned)
        filled[MENTIONS] = ",".join(filter(None, (filled.get(MENTIONS, ""), *members)))
    return filled


def mentioned_ids(values: Mapping[str, str]) -> list[int]:
    """Return the ids of the users whom a Slack message mentions."""
    return [int(each) for each in values.get(MENTIONED_USERS, "").split(",") if each]


def address_of(values: Mapping[str, str]) -> str:
    """Return the address, number or URL among the settings; empty for kinds without one."""
    return next((values[name] for name in _ADDRESS_SETTINGS if values.get(name)), "")


def _why_person_not_reached(contact_point: ContactPoint) -> str | None:
    user = person_of(contact_point)
    if user is None:
        return "This person is not a user of the org any more."
    if contact_point.kind == EMAIL and not user.wants_email_alerts:
        return f"{user.name} does not want e-mails."
    if contact_point.kind == SMS and not user.phone_number:
        return f"{user.name} has no phone number."
    return None


def _slack_members(org_id: int, user_ids: list[int]) -> list[str]:
    rows = session().scalars(
        select(User.slack_member_id)
        .where(User.org_id == org_id, among(User.id, user_ids), User.slack_member_id.is_not(None))
        .order_by(User.id)
    )
    return [member for member in rows if member]
