"""Announce recorded changes: enqueue messages about anomalies whose evidence is recent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anomify.anomaly.model import Span
from anomify.delivery.enqueue import enqueue_opened, enqueue_recovered
from anomify.pipeline.record import Change, Closed, Explained, Extended, Opened

# Points may arrive late, from a back-fill or a sender that was cut off: an anomaly whose evidence
# ended longer ago than this is recorded and drawn, but not announced (spec/storage.md 10.6).
ANNOUNCED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Notifier:
    """Enqueues messages about anomalies, as of the moment `at`."""

    at: datetime

    def announce(self, change: Change) -> None:
        """Enqueue the messages that this change calls for, if any."""
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
        """Enqueue a message for each watcher of an anomaly of this severity, each once."""
        if self.is_recent(span.last_over_ms):
            enqueue_opened(span.anomaly)

    def recovered(self, span: Span) -> None:
        """Enqueue a message for those who were informed that the anomaly had opened."""
        enqueue_recovered(span.anomaly)

    def is_recent(self, last_over_ms: int) -> bool:
        """Return whether evidence that ended at this time is recent enough to be announced."""
        return last_over_ms >= int((self.at - ANNOUNCED_FOR).timestamp() * 1000)
