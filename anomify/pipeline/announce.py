"""Announce recorded changes: group recent anomalies into incidents, and tell what has changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from anomify.anomaly.model import Span
from anomify.delivery.notify import notify
from anomify.incident.grouping import ReadSeries, group
from anomify.incident.queries import incidents_with
from anomify.pipeline.record import Change, Closed, Explained, Extended, Opened

# Points may arrive late, from a back-fill or a sender that was cut off: an anomaly whose evidence
# ended longer ago than this is recorded and drawn, but not announced (spec/storage.md 10.6).
ANNOUNCED_FOR = timedelta(hours=1)


@dataclass(slots=True)
class Notifier:
    """Collects what one transaction has changed, as of the moment `at`; see `announcing`."""

    at: datetime
    read_series: ReadSeries | None = None
    _opened: dict[int, Span] = field(default_factory=dict)
    _closed: dict[int, Span] = field(default_factory=dict)

    def announce(self, change: Change) -> None:
        """Note what this change calls for, if anything."""
        match change:
            case Opened(span):
                self.opened(span)
            case Extended(span, has_risen, last_over_ms):
                # One whose evidence was too old so far has not been announced yet.
                if has_risen or not self.is_recent(last_over_ms):
                    self.opened(span)
            case Closed(span):
                self.recovered(span)
            case Explained():
                pass

    def opened(self, span: Span) -> None:
        """Note that an anomaly has opened, or that its severity has risen."""
        if self.is_recent(span.last_over_ms):
            self._opened[span.anomaly_id] = span

    def recovered(self, span: Span) -> None:
        """Note that an anomaly has ended."""
        self._closed[span.anomaly_id] = span

    def is_recent(self, last_over_ms: int) -> bool:
        """Return whether evidence that ended at this time is recent enough to be announced."""
        return last_over_ms >= int((self.at - ANNOUNCED_FOR).timestamp() * 1000)

    def finish(self) -> None:
        """Group what has opened, and enqueue messages: first of what opened, then of what ended."""
        if self._opened:
            incidents = group(self._opened.values(), self.at, self.read_series)
            notify([each.id for each in incidents], self.at, as_open=self._opened.keys())
        ended = [*self._closed, *(key for key, span in self._opened.items() if not span.is_open)]
        if ended:
            notify([each.id for each in incidents_with(ended)], self.at)


@contextmanager
def announcing(at: datetime, read_series: ReadSeries | None = None) -> Iterator[Notifier]:
    """Yield a notifier, and announce what it has noted when the block has ended.

    Use it inside the transaction that records the changes. `read_series` reads points of metrics,
    to compare those that became unusual at about the same time.
    """
    notifier = Notifier(at, read_series)
    yield notifier
    notifier.finish()
