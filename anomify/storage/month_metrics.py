"""Remembers which metrics have chunks in the file of a month, so that reads open few files."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection

from anomify.errors import Unavailable
from anomify.storage.chunk_rows import list_metrics
from anomify.storage.errors import Damaged
from anomify.storage.month_folder import MonthFolder
from anomify.storage.sqlite_file import file_signature

# The metrics of a file are listed only if it has not changed for so long and has few of them; a
# file with more metrics is opened by every read.
UNCHANGED_SECONDS = 2.0
MOST_METRICS_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class _KnownMetrics:
    """The metrics of a month's file, valid while the file has this signature."""

    signature: tuple[int, ...]
    seen_at: float
    # None where they are not listed, or too many.
    metric_ids: frozenset[int] | None = None
    is_large: bool = False


class MonthMetrics:
    """A cache of the metrics in each month's file."""

    def __init__(
        self,
        folder: MonthFolder,
        reading_chunks: Callable[[int], AbstractContextManager[Connection | None]],
    ) -> None:
        """Begin empty; `reading_chunks` opens the file of a month."""
        self._folder = folder
        self._reading_chunks = reading_chunks
        self._known: dict[int, _KnownMetrics] = {}

    def may_have(self, month: int, metric_id: int) -> bool:
        """Return False only where the month's own file has no chunk of the metric."""
        signature = file_signature(self._folder.path(month))
        known = self._known.get(month)
        if known is None or known.signature != signature:
            # Times of files are coarse: a file that changed a moment ago is not listed yet.
            self._known[month] = _KnownMetrics(signature, time.monotonic())
            return True
        if known.metric_ids is None:
            if known.is_large or time.monotonic() - known.seen_at < UNCHANGED_SECONDS:
                return True
            # Any write after this signature was taken gives the file another one.
            known = self._list(month, known)
            if known.metric_ids is None:
                return True
        return metric_id in known.metric_ids

    def _list(self, month: int, known: _KnownMetrics) -> _KnownMetrics:
        try:
            with self._reading_chunks(month) as connection:
                found = [] if connection is None else list_metrics(connection, MOST_METRICS_KNOWN)
        except (Damaged, Unavailable):
            return known
        is_large = len(found) >= MOST_METRICS_KNOWN
        listed = _KnownMetrics(
            known.signature, known.seen_at, None if is_large else frozenset(found), is_large
        )
        self._known[month] = listed
        return listed
