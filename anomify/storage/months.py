"""Calendar months as numbers (0 is January 1970): buckets, spans of time and file names."""

import re
from functools import lru_cache

import numpy as np

from anomify.clock import now_ms
from anomify.series import Int64s
from anomify.storage.chunk_keys import BUCKET_MS, BUCKET_ZERO
from anomify.storage.tables import BUCKET_MASK

# The number of the part that old months with few chunks share: one file instead of hundreds.
OLD_MONTHS = -(1 << 40)
# A month is old from so many months ago on: its chunks are first written to the shared file.
OLD_AFTER_MONTHS = 3

# The last number is that of a file which replaced a damaged one.
_MONTH_FILE = re.compile(r"points-(old|-?\d{4,}-\d\d)(?:\.(\d+))?\.db")


def months_of(buckets: Int64s) -> Int64s:
    """Return the month of each bucket, counted from January 1970."""
    starts = (buckets * BUCKET_MS).astype("datetime64[ms]")
    return starts.astype("datetime64[M]").astype(np.int64)


def span_of(month: int) -> tuple[int, int]:
    """Return when a month begins and ends, in unix milliseconds."""
    first, end = (
        int(np.datetime64(each, "M").astype("datetime64[ms]").astype(np.int64))
        for each in (month, month + 1)
    )
    return first, end


def month_now() -> int:
    """Return the current month."""
    return int(np.datetime64(now_ms(), "ms").astype("datetime64[M]").astype(np.int64))


def newest_old_month() -> int:
    """Return the newest month that is old."""
    return month_now() - OLD_AFTER_MONTHS


def is_old(month: int) -> bool:
    """Return whether chunks of this month are first written to the shared file."""
    return month <= newest_old_month()


def key_endings(month: int) -> tuple[int, int]:
    """Return the low bits of the keys of a month's first and last bucket."""
    first, beyond = (ms // BUCKET_MS for ms in span_of(month))
    return max(first + BUCKET_ZERO, 0), min(beyond - 1 + BUCKET_ZERO, BUCKET_MASK)


def file_name(month: int, generation: int) -> str:
    """Return the name of a month's file that has been replaced `generation` times."""
    suffix = f".{generation}" if generation else ""
    return f"points-{label_of(month)}{suffix}.db"


def label_of(month: int) -> str:
    """Return the part of a file's name that stands for the month."""
    return "old" if month == OLD_MONTHS else str(np.datetime64(month, "M"))


@lru_cache(maxsize=10_000)
def month_of_file(name: str) -> int | None:
    """Return the month of a file of this name, None for other files."""
    named = _MONTH_FILE.fullmatch(name)
    if named is None:
        return None
    return OLD_MONTHS if named[1] == "old" else int(np.datetime64(named[1], "M").astype(np.int64))


@lru_cache(maxsize=10_000)
def generation_of_file(name: str) -> int:
    """Return how often the file of this month has been replaced."""
    named = _MONTH_FILE.fullmatch(name)
    return int(named[2]) if named and named[2] else 0
