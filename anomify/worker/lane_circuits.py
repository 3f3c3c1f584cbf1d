"""Pause lanes whose receivers fail again and again, so that they hold up no thread.

Each org has circuits of its own: many orgs share a host such as that of Slack, and the token that
one of them has revoked must not delay the messages of the others.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# An org and one of its lanes.
OrgLane = tuple[int, str]
# After so many failures in a row a lane is paused; the first attempt after the pause decides.
FAILURES_MOST: Final = 5
PAUSE: Final = timedelta(seconds=30)


@dataclass(slots=True)
class _Lane:
    failures: int = 0
    paused_until: datetime | None = None


class LaneCircuits:
    """Counts the failures in a row of each lane of each org; the caller locks."""

    def __init__(self) -> None:
        """Start without any failure."""
        self._lanes: dict[OrgLane, _Lane] = {}

    def note(self, lane: OrgLane, at: datetime, *, is_delivered: bool) -> None:
        """Note the result of an attempt.

        >>> from datetime import UTC
        >>> circuits, noon = LaneCircuits(), datetime(2026, 11, 20, 12, tzinfo=UTC)
        >>> for _ in range(FAILURES_MOST):
        ...     circuits.note((1, "hooks.example"), noon, is_delivered=False)
        >>> circuits.paused(noon)
        [(1, 'hooks.example')]
        >>> circuits.paused(noon + PAUSE)
        []
        """
        if is_delivered:
            self._lanes.pop(lane, None)
            return
        state = self._lanes.setdefault(lane, _Lane())
        state.failures += 1
        if state.failures >= FAILURES_MOST:
            state.paused_until = at + PAUSE

    def paused(self, at: datetime) -> list[OrgLane]:
        """Return the lanes that nothing is sent in at this moment."""
        return [
            name
            for name, lane in self._lanes.items()
            if lane.paused_until is not None and lane.paused_until > at
        ]
