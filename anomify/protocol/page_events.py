"""Decodes the JSON that the script on a web page sends: counts of events by name."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from anomify.errors import Invalid
from anomify.protocol.batch import UNFORESEEN, Refusal
from anomify.protocol.json_body import decode_body

EVENTS_MAX = 100
COUNT_MAX = 10_000
SITE_CHARACTERS_MAX = 64
NAME_CHARACTERS_MAX = 128
_WORD = re.compile(r"[A-Za-z0-9_-]+\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


@dataclass(frozen=True, slots=True)
class PageEvents:
    """The counts of one request by the event's name, and the refused events with reasons."""

    key: str
    site: str
    counts: Counter[str]
    refused: list[Refusal]


def parse_page_events(body: bytes) -> PageEvents:
    """Return the counts of a body. Raises `Invalid` for one without key, site and events.

    Events of the same name are added up. An event with an invalid name, or a count that is not a
    whole number from 1 to 10,000, is refused by itself.

    >>> body = b'{"key": "anm_x", "site": "shop", "events": [{"name": "signup", "count": 2}]}'
    >>> parse_page_events(body).counts
    Counter({'signup': 2})
    """
    read = decode_body(body)
    key, site, events = (
        (read.get("key"), read.get("site"), read.get("events"))
        if isinstance(read, dict)
        else (None, None, None)
    )
    if not isinstance(key, str) or not isinstance(site, str) or not isinstance(events, list):
        raise Invalid(
            'The body is JSON such as {"key": "anm_...", "site": "shop", "events":'
            ' [{"name": "signup", "count": 1}]}.'
        )
    if len(site) > SITE_CHARACTERS_MAX or not _WORD.match(site):
        raise Invalid(
            "The site is one word.",
            fields={"site": f"1 to {SITE_CHARACTERS_MAX} letters, digits, - or _"},
        )
    if not 1 <= len(events) <= EVENTS_MAX:
        raise Invalid("Send some events.", fields={"events": f"1 to {EVENTS_MAX} of them"})
    counts: Counter[str] = Counter()
    refused: list[Refusal] = []
    for index, event in enumerate(events):
        try:
            found = _read_event(index, event)
        except Exception:  # noqa: BLE001 -- whatever one event is, the others are counted
            found = Refusal(index, "", UNFORESEEN)
        if isinstance(found, Refusal):
            refused.append(found)
        else:
            name, count = found
            counts[name] += count
    return PageEvents(key, site, counts, refused)


def _read_event(index: int, event: Any) -> tuple[str, int] | Refusal:
    if not isinstance(event, dict) or not isinstance(event.get("name"), str):
        return Refusal(index, "", "an event is an object with a name, and a count where it has one")
    name, count = event["name"], event.get("count", 1)
    if len(name) > NAME_CHARACTERS_MAX or not _NAME.match(name):
        return Refusal(
            index,
            name[:NAME_CHARACTERS_MAX],
            f"a name is at most {NAME_CHARACTERS_MAX} letters, digits, - or _, in words parted by"
            " dots",
            "bad_name",
        )
    is_number = isinstance(count, int | float) and not isinstance(count, bool)
    if not is_number or not 1 <= count <= COUNT_MAX or count != int(count):
        return Refusal(index, name, f"a count is a whole number from 1 to {COUNT_MAX:,}")
    return name, int(count)
