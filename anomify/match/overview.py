"""The numbers of an org's patterns and matches in a period, and over time."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from anomify.anomaly.overview import Figure
from anomify.clock import datetime_from_ms, to_ms
from anomify.match.queries import count_matches, count_matches_by_stretch
from anomify.pattern.model import PatternState
from anomify.pattern.queries import count_patterns, list_creation_times

WEEK_MS: Final = 7 * 86_400_000
# A proposed pattern was not made by anybody yet.
MADE_STATES: Final = (PatternState.ACTIVE, PatternState.DISABLED, PatternState.RETIRED)


@dataclass(frozen=True, slots=True)
class LearningOverview:
    """What patterns did for an org in a period.

    `made` and `matches` are those of the period and of the one before it, `total` the patterns
    that are used now. `per_week` are the alarms that were spared, by week, and `reduced_percent`
    their share of all that would have been anomalies; None where there would have been none.
    """

    made: Figure
    matches: Figure
    total: int
    per_week: float
    reduced_percent: float | None


def learning_overview_of(
    org_id: int, *, from_ms: int, until_ms: int, anomalies: int
) -> LearningOverview:
    """Return the numbers of a period, in which so many anomalies began."""
    earlier_ms = max(2 * from_ms - until_ms, 0)
    matches = Figure(
        count_matches(org_id, from_ms=from_ms, until_ms=until_ms),
        count_matches(org_id, from_ms=earlier_ms, until_ms=from_ms),
    )
    would_be = anomalies + matches.now
    return LearningOverview(
        made=Figure(_made(org_id, from_ms, until_ms), _made(org_id, earlier_ms, from_ms)),
        matches=matches,
        total=count_patterns(org_id),
        per_week=round(matches.now * WEEK_MS / (until_ms - from_ms), 1),
        reduced_percent=round(100 * matches.now / would_be, 1) if would_be else None,
    )


def matches_over_time(
    org_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> list[tuple[int, int]]:
    """Count the matches that began in each stretch of the window, oldest first.

    The stretches are those of `anomalies_over_time`, which raises where there are too many.
    """
    stretches = range(from_ms - from_ms % stretch_ms, until_ms, stretch_ms)
    counts = count_matches_by_stretch(
        org_id, from_ms=from_ms, until_ms=until_ms, stretch_ms=stretch_ms
    )
    return [(start_ms, counts.get(start_ms, 0)) for start_ms in stretches]


def patterns_over_time(
    org_id: int, *, from_ms: int, until_ms: int, stretch_ms: int
) -> list[tuple[int, int]]:
    """Count the patterns that were made before the end of each stretch, oldest first."""
    stretches = range(from_ms - from_ms % stretch_ms, until_ms, stretch_ms)
    made = list_creation_times(org_id, datetime_from_ms(0), datetime_from_ms(until_ms))
    times = [to_ms(at) for at in made]
    return [(start_ms, bisect_left(times, start_ms + stretch_ms)) for start_ms in stretches]


def _made(org_id: int, from_ms: int, until_ms: int) -> int:
    return count_patterns(
        org_id,
        states=MADE_STATES,
        from_at=datetime_from_ms(from_ms),
        until_at=datetime_from_ms(until_ms),
    )
