"""The kinds of admin alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ALL_STOPPED: Final = 1
SOME_STOPPED: Final = 2
QUOTA_EXCEEDED: Final = 3


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of problem that admins are alerted to."""

    id: int
    name: str
    # The heading of an alert that is over.
    name_when_over: str
    # Admins must learn that the quota is exceeded, so that kind cannot be changed or disabled.
    is_changeable: bool = True


KINDS: Final[Mapping[int, AlertKind]] = {
    kind.id: kind
    for kind in (
        AlertKind(ALL_STOPPED, "All metrics have stopped", "Metrics report again"),
        AlertKind(SOME_STOPPED, "Some metrics have stopped", "Stopped metrics report again"),
        AlertKind(
            QUOTA_EXCEEDED,
            "The metric quota is exceeded",
            "The metric quota is no longer exceeded",
            is_changeable=False,
        ),
    )
}
