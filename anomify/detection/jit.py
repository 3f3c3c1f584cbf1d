"""Compiles kernels with numba, with strict IEEE 754 arithmetic."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

KERNEL_SOURCES: Final = (
    "band.py",
    "baseline.py",
    "counter.py",
    "decay.py",
    "drift.py",
    "ensemble.py",
    "evidence.py",
    "metric_kind.py",
    "alarm_history.py",
    "alarm_history_constants.py",
    "alert_direction.py",
    "jit.py",
    "kernel.py",
    "magnitude.py",
    "rarity.py",
    "record_rule.py",
    "recurrence.py",
    "staleness.py",
    "state.py",
    "trend.py",
    "tuning.py",
    "weights.py",
)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by numba as a part of the kernel.

    Its machine code is cached inside the entry that calls it. `fastmath` stays off: the same points
    must give the same bits in a batch, one at a time, after a restart, and whatever follows them.
    """
    return cast("Callable[P, R]", njit(function))


def compiled_entry(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function compiled by numba, its machine code kept in numba's cache on disk."""
    return cast("Callable[P, R]", njit(cache=True)(function))


def sources_digest() -> int:
    """Return 56 bits of the SHA-256 of the source files of the kernel.

    numba's cache is invalidated by a change of the file of an entry, but not by a change of the
    files of the functions that it calls (numba documentation, "Caching limitations"). An entry
    therefore closes over this number, because the cache key covers the values of a closure.

    >>> 0 <= sources_digest() < 2**56
    True
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in KERNEL_SOURCES:
        digest.update((here / name).read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


Slot = Any
"""One row of `EngineState.slots` in compiled code: a record whose fields are attributes."""
