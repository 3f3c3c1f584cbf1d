"""Links to the other pages of a list, and choices of filters above it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageLinks:
    """The first and last item shown, counted from one, and the URLs of the pages beside it."""

    first: int
    last: int
    total: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a filter, with the number of items that it shows."""

    words: str
    url: str
    total: int
    is_chosen: bool


def page_links(
    offset: int, shown: int, total: int, limit: int, address_at: Callable[[int], str]
) -> PageLinks:
    """Return the links of a page that shows `shown` items from `offset` on."""
    return PageLinks(
        first=min(offset + 1, total),
        last=offset + shown,
        total=total,
        before=address_at(max(offset - limit, 0)) if offset else None,
        after=address_at(offset + limit) if offset + shown < total else None,
    )
