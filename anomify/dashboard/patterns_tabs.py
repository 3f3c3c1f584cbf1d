"""Above the lists of patterns, matches and proposals: their links, and what was spared."""

from dataclasses import dataclass
from typing import Final

from anomify.anomaly.queries import count_anomalies
from anomify.auth.subject import subject
from anomify.clock import now_ms
from anomify.dashboard.paging import Choice
from anomify.match.overview import learning_overview_of
from anomify.pattern.groups import list_pattern_groups
from anomify.pattern.model import PatternState

PATTERNS_PATH: Final = "/ui/patterns"
MATCHES_PATH: Final = "/ui/matches"
PROPOSALS_PATH: Final = "/ui/proposals"
DAY_MS: Final = 86_400_000
SPARED_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Spared:
    """How many alarms patterns spared in the last thirty days."""

    days: int
    total: int
    per_week: str
    # Their share of all that would have been anomalies; empty where there would have been none.
    share: str


def tabs(current: str) -> list[Choice]:
    """Return the links to the lists of patterns, matches and proposals, with their numbers."""
    org_id, until_ms = subject().org.id, now_ms()
    used = list_pattern_groups(org_id, states=(PatternState.ACTIVE,), limit=0).total
    proposed = list_pattern_groups(org_id, states=(PatternState.PROPOSED,), limit=0).total
    spared = learning_overview_of(
        org_id, from_ms=until_ms - SPARED_DAYS * DAY_MS, until_ms=until_ms, anomalies=0
    ).matches.now
    lists = (
        ("Patterns", PATTERNS_PATH, used),
        ("Matches", MATCHES_PATH, spared),
        ("Proposals", PROPOSALS_PATH, proposed),
    )
    return [Choice(words, path, total, path == current) for words, path, total in lists]


def spared_lately() -> Spared:
    """Return what patterns spared the signed-in user's org in the last thirty days."""
    org_id, until_ms = subject().org.id, now_ms()
    from_ms = until_ms - SPARED_DAYS * DAY_MS
    told = count_anomalies(org_id, from_ms=from_ms, until_ms=until_ms)
    found = learning_overview_of(org_id, from_ms=from_ms, until_ms=until_ms, anomalies=told)
    percent = found.reduced_percent
    return Spared(
        SPARED_DAYS,
        found.matches.now,
        f"{found.per_week:g}",
        f"{percent:.0f} %" if percent else "",
    )
