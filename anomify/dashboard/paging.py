"""Pages of a list and choices above it: what is shown of how many, and where the links lead."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Which items of a list are shown, counted from one, and the addresses of its neighbours."""

    first: int
    last: int
    total: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a row of choices, with how many items it would show."""

    words: str
    url: str
    total: int
    is_chosen: bool


def page_links(
    offset: int, shown: int, total: int, limit: int, address_at: Callable[[int], str]
) -> PageLinks:
    """Return what to write below a list of which `shown` items from `offset` on are on the page."""
    return PageLinks(
        first=min(offset + 1, total),
        last=offset + shown,
        total=total,
        before=address_at(max(offset - limit, 0)) if offset else None,
        after=address_at(offset + limit) if offset + shown < total else None,
    )
