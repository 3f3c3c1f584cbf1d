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
    # Admins must learn that the quota is exceeded, so that kind cannot be changed or disabled.
    is_changeable: bool = True


KINDS: Final[Mapping[int, AlertKind]] = {
    kind.id: kind
    for kind in (
        AlertKind(ALL_STOPPED, "All metrics have stopped"),
        AlertKind(SOME_STOPPED, "Some metrics have stopped"),
        AlertKind(QUOTA_EXCEEDED, "The metric quota is exceeded", is_changeable=False),
    )
}
