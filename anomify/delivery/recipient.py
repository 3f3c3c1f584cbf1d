"""Look up the recipients of a watcher, and the address of a delivery when it is sent."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from anomify.channel.kinds import WEBHOOK
from anomify.channel.message import Receipt, Target
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import address_of, person_of, why_not_reached, with_people
from anomify.contact_point.settings import settings_of, signing_secrets
from anomify.db import session
from anomify.delivery.facts import TEST
from anomify.delivery.model import Delivery
from anomify.org.sealing import SealBroken, unseal
from anomify.user.model import User
from anomify.watcher.model import Watcher


def mailed_users(watcher: Watcher) -> Collection[int]:
    """Return the ids of the users whom the watcher names and who want e-mails, all of its org."""
    if not watcher.email_user_ids:
        return ()
    rows = session().scalars(
        select(User.id)
        .where(
            User.org_id == watcher.org_id,
            User.id.in_(watcher.email_user_ids),
            User.wants_email_alerts.is_(True),
        )
        .order_by(User.id)
    )
    return list(rows)


def target_of(delivery: Delivery, at: datetime, sealing_key: bytes) -> Target | Receipt:
    """Return where a delivery is to be sent now, or a receipt with the reason why nowhere."""
    watcher = session().get(Watcher, delivery.watcher_id)
    if watcher is None or watcher.deleted_at is not None:
        return undeliverable("The watcher has been deleted.")
    if delivery.transition != TEST and not watcher.is_alerting:
        return undeliverable("The watcher is not alerting any more.")
    if delivery.channel == WEBHOOK:
        return _webhook_target(watcher, at, sealing_key)
    user = session().get(User, int(delivery.recipient))
    if user is None or user.org_id != watcher.org_id or user.id not in watcher.email_user_ids:
        return undeliverable("The watcher does not notify this person any more.")
    if not user.wants_email_alerts:
        return undeliverable("This person does not want e-mails.")
    return Target(user.email, user.name)


def _webhook_target(watcher: Watcher, at: datetime, sealing_key: bytes) -> Target | Receipt:
    if watcher.webhook_url is None or watcher.webhook_secret_sealed is None:
        return undeliverable("The watcher has no webhook any more.")
    if watcher.webhook_stopped_at is not None:
        return undeliverable("The receiver answered that it is gone (410); set the webhook again.")
    sealed = [watcher.webhook_secret_sealed]
    until = watcher.former_secret_until
    if watcher.former_secret_sealed and until is not None and until > at:
        sealed.append(watcher.former_secret_sealed)
    try:
        secrets = tuple(unseal(sealing_key, watcher.org_id, each) for each in sealed)
    except SealBroken as problem:
        # The server may run with another key by mistake: the message is tried again.
        return Receipt(is_delivered=False, problem=f"{problem} Set the webhook's secret again.")
    return Target(watcher.webhook_url, secrets=secrets)


def target_of_contact(
    contact_point: ContactPoint, at: datetime, sealing_key: bytes
) -> Target | Receipt:
    """Return where a contact point sends to now, or a receipt with the reason why nowhere."""
    reason = why_not_reached(contact_point)
    if reason is not None:
        return undeliverable(reason)
    try:
        values = settings_of(contact_point, sealing_key)
        secrets = signing_secrets(contact_point, values, at, sealing_key)
    except SealBroken as problem:
        # The server may run with another key by mistake: the message is tried again.
        return Receipt(
            is_delivered=False,
            problem=f"{problem} Save the settings of {contact_point.name} again.",
        )
    values = with_people(contact_point, values)
    user = person_of(contact_point)
    return Target(
        address_of(contact_point, values),
        "" if user is None else user.name,
        secrets=secrets,
        settings=values,
    )


def undeliverable(why: str) -> Receipt:
    """Return the receipt of a message that cannot be sent, now or later."""
    return Receipt(is_delivered=False, problem=why, is_permanent=True)
