"""Rate limits per caller and per org: a token bucket for each class of requests.

One web process serves an installation, so the buckets are in its memory and need no database. After
a restart they are full.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from flask import Flask, Response, current_app, g

from anomify.edge.contract import Declared
from anomify.errors import ConfigError, QuotaExceeded

LIMITS_KEY = "anomify_limits"
_STATUS_KEY = "anomify_limit_standing"
_CALLER_KEY = "anomify_limit_caller"
# The most buckets of a class; beyond it those used longest ago are deleted.
REMEMBERED_MAX = 20_000
OFF = "off"
# The limit of all callers of an org together, as a multiple of one caller's.
ORG_FACTOR = 5


class Limit(StrEnum):
    """The classes of requests that are counted separately."""

    # Signing in; counted by address for every caller.
    LOGIN = "login"
    READ = "read"
    # Expensive reads: many points of long windows.
    HEAVY = "heavy"
    WRITE = "write"
    IMAGE = "image"
    # Test messages.
    TEST = "test"
    # Requests that cause a mail to an address in the request.
    MAIL = "mail"
    EXPORT = "export"
    # New anonymous sessions; counted by address.
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a number of seconds; they may all come at once."""

    count: int
    seconds: int


RATES = {
    Limit.LOGIN: Rate(60, 300),
    Limit.READ: Rate(6_000, 60),
    Limit.HEAVY: Rate(3_000, 60),
    Limit.WRITE: Rate(600, 60),
    Limit.IMAGE: Rate(600, 60),
    Limit.TEST: Rate(10, 3_600),
    Limit.MAIL: Rate(30, 3_600),
    Limit.EXPORT: Rate(6, 3_600),
    Limit.ANONYMOUS: Rate(20, 60),
}


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The state of a bucket after a request; `wait_seconds` is 0 if the request is allowed."""

    rate: Rate
    remaining: int
    full_in_seconds: float
    wait_seconds: float


class Bucket:
    """The buckets of one class, one for each key. May be shared by threads.

    Only the time at which a bucket will be full again is stored, and nothing for full buckets.
    """

    def __init__(self, rate: Rate, monotonic: Callable[[], float]) -> None:
        """Start with every bucket full."""
        self._rate = rate
        self._monotonic = monotonic
        self._interval = rate.seconds / rate.count
        self._full_at: dict[object, float] = {}
        self._lock = threading.Lock()

    def take(self, key: object) -> LimitStatus:
        """Take one from the bucket of this key, unless it is empty."""
        rate, moment = self._rate, self._monotonic()
        with self._lock:
            full_at = max(self._full_at.pop(key, moment), moment)
            filled_in = full_at + self._interval - moment
            wait = filled_in - rate.seconds
            # Ignore rounding errors of binary fractions.
            if wait > self._interval / 1000:
                self._full_at[key] = full_at
                return LimitStatus(rate, 0, full_at - moment, wait)
            self._full_at[key] = full_at + self._interval
            if len(self._full_at) > REMEMBERED_MAX:
                self._forget(moment)
        return LimitStatus(rate, max(0, int(-wait / self._interval + 0.001)), filled_in, 0.0)

    def _forget(self, moment: float) -> None:
        """Delete full buckets, and where that is not enough, those used longest ago."""
        kept = [(key, full_at) for key, full_at in self._full_at.items() if full_at > moment]
        self._full_at = dict(kept[-(REMEMBERED_MAX * 9 // 10) :])


class RateLimits:
    """The limits of one app. May be shared by threads."""

    def __init__(
        self, changed: Sequence[str] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take changes of the default rates, such as `read=100/60` or `login=off`.

        `off` alone switches all limits off. Raises `ConfigError` for an unknown class.
        """
        rates = _rates(changed)
        self._own = {limit: Bucket(rate, monotonic) for limit, rate in rates.items()}
        self._orgs = {
            limit: Bucket(Rate(rate.count * ORG_FACTOR, rate.seconds), monotonic)
            for limit, rate in rates.items()
        }

    def take(self, limit: Limit, caller: object, org: object = None) -> LimitStatus | None:
        """Count a request of a caller, and of the caller's org if there is one.

        Returns the state of the bucket with fewer requests left; None for a class without a limit.
        """
        own = self._own.get(limit)
        if own is None:
            return None
        status = own.take(caller)
        if status.wait_seconds or org is None:
            return status
        together = self._orgs[limit].take(org)
        return together if together.remaining < status.remaining else status


def limits_of(route: Declared) -> tuple[Limit, ...]:
    """Return the classes that a request to this route counts against."""
    if route.limits is not None:
        return tuple(Limit(name) for name in route.limits)
    if not route.access.identifies_caller:
        return ()
    if route.media.startswith("image/"):
        return (Limit.IMAGE,)
    if not route.changes:
        return (Limit.READ,)
    return (Limit.LOGIN,) if route.access.is_open else (Limit.WRITE,)


def spend(route: Declared, caller: object, org: object, signing_in_by: object) -> None:
    """Count the current request. Raises `QuotaExceeded` with the seconds to wait.

    `caller` is the key of the caller: a user, a token or a network. `signing_in_by` is the key of
    sign-in attempts: a network, or a known client. `org` is the key of the larger bucket that
    callers share, or None.
    """
    setattr(g, _CALLER_KEY, (caller, org, signing_in_by))
    for limit in limits_of(route):
        spend_also(limit)


def spend_also(limit: Limit) -> None:
    """Count the current request against one more class, if only some requests of a route need it.

    Raises `QuotaExceeded` as `spend` does, which has to have been called.
    """
    caller, org, signing_in_by = getattr(g, _CALLER_KEY)
    status = (
        current_limits().take(limit, signing_in_by)
        if limit is Limit.LOGIN
        else current_limits().take(limit, caller, org)
    )
    if status is None:
        return
    before: LimitStatus | None = g.get(_STATUS_KEY)
    if before is None or status.remaining < before.remaining:
        setattr(g, _STATUS_KEY, status)
    if status.wait_seconds:
        seconds = math.ceil(status.wait_seconds)
        raise QuotaExceeded(
            f"Too many requests: at most {status.rate.count:,} in {status.rate.seconds:,} seconds "
            f"are allowed here. Wait {seconds} seconds.",
            code="rate_limited",
            retry_after_seconds=seconds,
        )


def current_limits() -> RateLimits:
    """Return the limits of the current app."""
    return cast("RateLimits", current_app.extensions[LIMITS_KEY])


def install(app: Flask, limits: RateLimits) -> None:
    """Add the state of the limit as headers to the reply of each counted request."""
    app.extensions[LIMITS_KEY] = limits

    @app.after_request
    def add_headers(reply: Response) -> Response:
        status: LimitStatus | None = g.get(_STATUS_KEY)
        if status is not None:
            reply.headers["RateLimit-Limit"] = str(status.rate.count)
            reply.headers["RateLimit-Remaining"] = str(status.remaining)
            reply.headers["RateLimit-Reset"] = str(math.ceil(status.full_in_seconds))
        return reply


def _rates(changed: Sequence[str]) -> Mapping[Limit, Rate]:
    rates: dict[Limit, Rate] = dict(RATES)
    for change in changed:
        if change == OFF:
            return {}
        name, _, wanted = change.partition("=")
        if name not in set(Limit):
            raise ConfigError(
                f"rate_limits: there is no class {name}; there are {', '.join(Limit)}."
            )
        if wanted == OFF:
            del rates[Limit(name)]
            continue
        count, _, seconds = wanted.partition("/")
        rates[Limit(name)] = Rate(int(count), int(seconds))
    return rates
