"""Look up where a contact point sends to, at the moment when a message is sent."""

from datetime import datetime

from anomify.channel.message import Receipt, Target
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import address_of, person_of, why_not_reached, with_people
from anomify.contact_point.settings import settings_of, signing_secrets
from anomify.org.sealing import SealBroken


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
