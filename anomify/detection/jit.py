"""How a kernel is compiled: by numba, without liberties in its arithmetic."""

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
    "drift.py",
    "ensemble.py",
    "evidence.py",
    "metric_kind.py",
    "alert_direction.py",
    "jit.py",
    "kernel.py",
    "magnitude.py",
    "rarity.py",
    "staleness.py",
    "state.py",
    "tuning.py",
    "weights.py",
)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a part of the kernel; it is cached as a piece of the entry that calls it.

    `fastmath` stays off: the same points must give the same bits in a batch, alone, after a restart
    and when more follows.
    """
    return cast("Callable[P, R]", njit(function))


def compiled_entry(function: Callable[P, R]) -> Callable[P, R]:
    """Compile an entry of the kernel and keep the machine code in numba's cache."""
    return cast("Callable[P, R]", njit(cache=True)(function))


def sources_digest() -> int:
    """Return a number that changes whenever a line of the kernel's source does.

    numba's cache notices changes of the file of an entry only, not of the files of what it calls,
    so an entry closes over this number: what a function closes over is part of its cache key.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in KERNEL_SOURCES:
        digest.update((here / name).read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


Slot = Any
"""One row of `EngineState.slots`, as numba sees it: a record whose fields are attributes."""
