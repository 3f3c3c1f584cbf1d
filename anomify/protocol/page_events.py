"""What the script on a web page sends: how often which events happened, as JSON."""

import re
from collections import Counter
from dataclasses import dataclass

import msgspec

from anomify.errors import Invalid

EVENTS_MAX = 100
COUNT_MAX = 10_000
SITE_CHARACTERS_MAX = 64
NAME_CHARACTERS_MAX = 128
_WORD = re.compile(r"[A-Za-z0-9_-]+\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class _Event(msgspec.Struct):
    name: str
    count: int = 1


class _Body(msgspec.Struct):
    key: str
    site: str
    events: list[_Event]


@dataclass(frozen=True, slots=True)
class PageEvents:
    """Counts of one request, by the event's name, and why the others are not taken."""

    key: str
    site: str
    counts: Counter[str]
    refused: dict[str, str]


def parse_page_events(body: bytes) -> PageEvents:
    """Return what a body says. Raises `Invalid` for one that cannot be read at all.

    Events of one name are added up. A name that none can be, and a count that is less than one or
    more than ten thousand, is refused by itself.
    """
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Invalid(
            'The body is JSON such as {"key": "anm_...", "site": "shop", "events":'
            ' [{"name": "signup", "count": 1}]}.'
        ) from None
    if len(read.site) > SITE_CHARACTERS_MAX or not _WORD.match(read.site):
        raise Invalid(
            "The site is one word.",
            fields={"site": f"1 to {SITE_CHARACTERS_MAX} letters, digits, - or _"},
        )
    if not 1 <= len(read.events) <= EVENTS_MAX:
        raise Invalid("Send some events.", fields={"events": f"1 to {EVENTS_MAX} of them"})
    counts: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for event in read.events:
        if len(event.name) > NAME_CHARACTERS_MAX or not _NAME.match(event.name):
            refused[event.name[:NAME_CHARACTERS_MAX]] = (
                f"a name is at most {NAME_CHARACTERS_MAX} letters, digits, - or _, in words"
                " parted by dots"
            )
        elif not 1 <= event.count <= COUNT_MAX:
            refused[event.name] = f"a count is 1 to {COUNT_MAX:,}"
        else:
            counts[event.name] += event.count
    return PageEvents(read.key, read.site, counts, refused)
