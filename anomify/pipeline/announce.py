"""From what was recorded to who hears of it: only what is fresh is told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anomify.anomaly.model import Span
from anomify.delivery.outbox import enqueue_opened, enqueue_recovered

# Points may arrive late, from a back-fill or a sender that was cut off: what ended longer ago than
# this is recorded and drawn, but wakes nobody (spec/storage.md 10.6).
TOLD_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells of anomalies as of a moment."""

    at: datetime

    def opened(self, span: Span) -> None:
        """Tell everybody who watches for an anomaly of this severity, each once."""
        if self.finds_fresh(span):
            enqueue_opened(span.anomaly)

    def recovered(self, span: Span) -> None:
        """Tell those who were told that it had opened."""
        enqueue_recovered(span.anomaly)

    def finds_fresh(self, span: Span) -> bool:
        """Return whether the evidence still ran within the last hour."""
        return span.last_over_ms >= int((self.at - TOLD_FOR).timestamp() * 1000)
