"""The settings of a contact point, stored as JSON that is sealed for its org."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import select

from anomify.contact_point.model import ContactPoint
from anomify.db import session
from anomify.org.sealing import SealBroken, seal, unseal

# A setting whose value is sealed once more: an upgrade moved it here as it was.
SEALED_SUFFIX = "_sealed"
# The setting that signs; a replaced one also signs for a while.
SECRET = "secret"  # noqa: S105 -- its name
# How many settings are sealed in one transaction.
SEALED_AT_ONCE = 500
FORMER_SECRET_FOR = timedelta(hours=24)


def settings_of(contact_point: ContactPoint, key: bytes) -> dict[str, str]:
    """Return the settings by name, those included that are secret. Raises `SealBroken`."""
    if contact_point.settings_sealed is not None:
        text = unseal(key, contact_point.org_id, contact_point.settings_sealed)
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except msgspec.DecodeError:
            raise SealBroken("The sealed settings cannot be read.") from None
    opened = {}
    for name, value in (contact_point.settings_open or {}).items():
        if name.endswith(SEALED_SUFFIX):
            opened[name.removesuffix(SEALED_SUFFIX)] = unseal(key, contact_point.org_id, value)
        else:
            opened[name] = value
    return opened


def store_settings(contact_point: ContactPoint, values: Mapping[str, str], key: bytes) -> None:
    """Seal the settings and store them instead of the former ones."""
    text = msgspec.json.encode(dict(values)).decode()
    contact_point.settings_sealed = seal(key, contact_point.org_id, text)
    contact_point.settings_open = None


def seal_open_settings(key: bytes) -> None:
    """Seal the settings that an upgrade has moved, a few at a time; calling it again is harmless.

    What was sealed with another key stays as it is, and is read as soon as that key is set again.
    """
    rows = session().scalars(
        select(ContactPoint).where(ContactPoint.settings_open.is_not(None)).limit(SEALED_AT_ONCE)
    )
    for contact_point in rows:
        try:
            store_settings(contact_point, settings_of(contact_point, key), key)
        except SealBroken:
            continue


def keep_former_secret(contact_point: ContactPoint, secret: str, at: datetime, key: bytes) -> None:
    """Have the secret that is being replaced also sign for FORMER_SECRET_FOR."""
    contact_point.former_secret_sealed = seal(key, contact_point.org_id, secret)
    contact_point.former_secret_until = at + FORMER_SECRET_FOR


def signing_secrets(
    contact_point: ContactPoint, values: Mapping[str, str], at: datetime, key: bytes
) -> tuple[str, ...]:
    """Return the secrets that sign now, the newest first. Raises `SealBroken`."""
    newest = values.get(SECRET)
    found = [newest] if newest else []
    until = contact_point.former_secret_until
    if contact_point.former_secret_sealed and until is not None and until > at:
        found.append(unseal(key, contact_point.org_id, contact_point.former_secret_sealed))
    return tuple(found)
