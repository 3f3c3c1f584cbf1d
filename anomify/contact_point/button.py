"""The values of buttons in messages: they name what is meant, and nobody else can make them.

A value is short enough for Telegram, which takes 64 bytes with the name of the action:
contact point, subject and signature, with dots between them.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from anomify.contact_point.model import ContactPoint
from anomify.contact_point.queries import ID_MAX

# The purpose of the key of config.Settings.key_for(); a new number invalidates all buttons.
KEY_PURPOSE: Final = "message-buttons-1"
SIGNATURE_BYTES: Final = 16
# What is meant: an anomaly, or all of an incident.
ANOMALY: Final = "a"
INCIDENT: Final = "i"
_VALUE: Final = re.compile(r"([1-9][0-9]{0,9})\.([a-z][1-9][0-9]{0,9})\.([A-Za-z0-9_-]{22})")


@dataclass(frozen=True, slots=True)
class ButtonValue:
    """A value as it was read; its signature is not verified yet."""

    contact_point_id: int
    subject: str
    signature: str


def subject_of_anomaly(anomaly_id: int) -> str:
    """Return how a button names an anomaly."""
    return f"{ANOMALY}{anomaly_id}"


def subject_of_incident(incident_id: int) -> str:
    """Return how a button names an incident."""
    return f"{INCIDENT}{incident_id}"


def signed_value(key: bytes, org_id: int, contact_point_id: int, action: str, subject: str) -> str:
    """Return the value of a button in a message to this contact point of the org."""
    signature = _signature(key, org_id, contact_point_id, action, subject)
    return f"{contact_point_id}.{subject}.{signature}"


def button_value(key: bytes, contact_point: ContactPoint, action: str, subject: str) -> str:
    """Return the value of a button in a message to this contact point."""
    return signed_value(key, contact_point.org_id, contact_point.id, action, subject)


def read_button(value: str) -> ButtonValue | None:
    """Return the parts of a value, or None for a text that is none."""
    found = _VALUE.fullmatch(value)
    if found is None or int(found[1]) > ID_MAX:
        return None
    return ButtonValue(int(found[1]), found[2], found[3])


def is_genuine(key: bytes, contact_point: ContactPoint, action: str, value: ButtonValue) -> bool:
    """Return whether the value was made for this org, contact point, action and subject."""
    expected = _signature(key, contact_point.org_id, contact_point.id, action, value.subject)
    return value.contact_point_id == contact_point.id and hmac.compare_digest(
        expected, value.signature
    )


def _signature(key: bytes, org_id: int, contact_point_id: int, action: str, subject: str) -> str:
    signed = f"{org_id}\n{contact_point_id}\n{action}\n{subject}".encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()[:SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
