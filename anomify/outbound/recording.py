"""Record what outgoing calls send and what is answered, for people who test a channel."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Exchange:
    """One call: what was sent to which host, and the answer; no status where none came."""

    method: str
    host: str
    content_type: str
    body: bytes
    status: int | None = None
    answer: bytes = b""


_recorded: Final[ContextVar[list[Exchange] | None]] = ContextVar("recorded", default=None)


@contextmanager
def recorded_exchanges() -> Iterator[list[Exchange]]:
    """Yield a list to which each outgoing call of this thread is added as it begins."""
    exchanges: list[Exchange] = []
    token = _recorded.set(exchanges)
    try:
        yield exchanges
    finally:
        _recorded.reset(token)


def note_exchange(exchange: Exchange) -> Exchange:
    """Add a call that begins, if calls are recorded; return it, to be given its answer."""
    exchanges = _recorded.get()
    if exchanges is not None:
        exchanges.append(exchange)
    return exchange
