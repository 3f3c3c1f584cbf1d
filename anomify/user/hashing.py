"""Turns at hashing passwords: few at once, behind everything else, in a line that has an end."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from anomify.errors import Unavailable

# Each hash takes 64 MiB and a core for a while; more at once would only make all of them slower.
MOST_AT_ONCE: Final = os.cpu_count() or 1
# More in line than this would take the threads that answer other requests.
MOST_WAITING: Final = 16
RETRY_AFTER_SECONDS: Final = 2
# The kernel lets whoever is less nice go first: nobody's read waits for somebody's sign-in.
NICENESS: Final = 4

_line = threading.BoundedSemaphore(MOST_AT_ONCE + MOST_WAITING)
Result = TypeVar("Result")


def in_turn(work: Callable[[], Result]) -> Result:
    """Return what the work returns, or raise what it raises, once it was its turn.

    Raises `Unavailable` where too many wait already.
    """
    if not _line.acquire(blocking=False):
        raise Unavailable(
            "Too many people are signing in at this moment; try again.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    try:
        return _hands().submit(work).result()
    finally:
        _line.release()


@cache
def _hands() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="hash", initializer=_step_back)


def _step_back() -> None:
    # On Linux this is a matter of each thread, and of those that it starts.
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
