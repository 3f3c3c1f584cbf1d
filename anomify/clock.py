"""The current time, which no other module reads, and conversions of moments to unix time."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def now() -> datetime:
    """Return the current moment, aware and in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return the current moment in unix milliseconds, the unit of stored points."""
    return to_ms(now())


def now_timestamp() -> int:
    """Return the current moment in unix seconds, the unit of the native API."""
    return to_timestamp(now())


def to_ms(moment: datetime) -> int:
    """Return an aware moment in unix milliseconds, rounded down.

    >>> to_ms(datetime(2026, 11, 28, 12, 0, 0, 1999, tzinfo=UTC))
    1795867200001
    """
    # With integers: multiplying seconds as a float makes some milliseconds one too low.
    return (moment - _EPOCH) // _MILLISECOND


def to_timestamp(moment: datetime) -> int:
    """Return an aware moment in whole unix seconds, without the fraction."""
    return int(moment.timestamp())


def datetime_from_ms(time_ms: float) -> datetime:
    """Return the moment, in UTC, of unix milliseconds.

    >>> datetime_from_ms(1795867200001)
    datetime.datetime(2026, 11, 28, 12, 0, 0, 1000, tzinfo=datetime.timezone.utc)
    """
    return datetime_from_timestamp(time_ms / 1000)


def datetime_from_timestamp(timestamp: float) -> datetime:
    """Return the moment, in UTC, of unix seconds."""
    return datetime.fromtimestamp(timestamp, UTC)
