"""Metrics whose names suggest that they count errors: only their own patterns explain them."""

import re
from typing import Final

# Words of names that stand for failures; a 5xx or 4xx code is one as well.
ERROR_WORDS: Final = (
    *("abort", "alert", "corrupt", "crash", "critical", "denied", "deny", "down", "drop", "emerg"),
    *("err", "exception", "exhaust", "expired", "fail", "fatal", "fault", "invalid", "kill"),
    *("leak", "lost", "oom", "overflow", "panic", "refus", "reject", "retries", "retry", "timeout"),
    *("timed_out", "throttl", "unauthor", "unavail", "unhealthy", "violation", "warn"),
)
_ERROR_WORD: Final = re.compile(
    r"(?<![a-z])(?:" + "|".join(ERROR_WORDS) + r")|(?<!\d)[45](?:xx|\d\d)(?!\d)", re.IGNORECASE
)


def is_error_like(name: str) -> bool:
    """Return whether a metric's name suggests that it counts errors, denials or timeouts.

    >>> [is_error_like(name) for name in ("web.5xx", "http_requests_failed_total", "cpu.load")]
    [True, True, False]
    >>> [is_error_like(name) for name in ("terrain.height", 'requests{status="503"}', "countdown")]
    [False, True, False]
    """
    return _ERROR_WORD.search(name) is not None
