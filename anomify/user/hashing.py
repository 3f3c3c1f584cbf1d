"""Limit password hashing: few at once, at low priority, with a bounded queue."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from anomify.errors import Unavailable

# Each hash uses 64 MiB and one core; more at once would only be slower.
MOST_AT_ONCE: Final = os.cpu_count() or 1
# More waiting callers would occupy the threads that serve other requests.
MOST_WAITING: Final = 16
RETRY_AFTER_SECONDS: Final = 2
# A higher nice value is a lower priority, so that sign-ins do not slow down other requests.
NICENESS: Final = 4

_admitted = threading.BoundedSemaphore(MOST_AT_ONCE + MOST_WAITING)
Result = TypeVar("Result")


def in_turn(work: Callable[[], Result]) -> Result:
    """Call `work` when there is a free slot, and return or raise what it does.

    Raises `Unavailable` if too many callers are waiting.
    """
    if not _admitted.acquire(blocking=False):
        raise Unavailable(
            "Too many people are signing in at this moment; try again.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    try:
        return _executor().submit(work).result()
    finally:
        _admitted.release()


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="hash", initializer=_lower_priority)


def _lower_priority() -> None:
    # On Linux the nice value is per thread and inherited by threads that it starts.
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
