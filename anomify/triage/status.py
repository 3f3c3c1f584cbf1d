"""The status words of anomalies; each may follow each other one."""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """What people decided about an anomaly."""

    # Open: somebody has to look at it, or does.
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    # Archived: nobody has to look at it any more. It stays so while the same anomaly runs on; if
    # its metric becomes unusual again, that is another anomaly.
    RESOLVED = "resolved"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    DISCARDED = "discarded"

    @property
    def is_archived(self) -> bool:
        """Return whether nobody has to look at an anomaly of this status any more."""
        return self not in OPEN


OPEN: Final = (Status.ACTIVE, Status.ACKNOWLEDGED)
ARCHIVED: Final = (Status.RESOLVED, Status.DUPLICATE, Status.INVALID, Status.DISCARDED)
