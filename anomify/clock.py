"""The current time; no other module reads the clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current moment, aware and in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return the current moment in unix milliseconds, the unit points are kept in."""
    return int(now().timestamp() * 1000)


def now_timestamp() -> int:
    """Return the current moment in unix seconds, the unit of the native wire."""
    return int(now().timestamp())
