"""Which patterns may explain a metric, prepared for the engine and kept in memory."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import defer

from anomify.db import among, batches, session
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.pattern.changes import changes_so_far
from anomify.pattern.error_like import is_error_like
from anomify.pattern.family import family_hash
from anomify.pattern.in_reach import PatternsInReach, UsablePattern
from anomify.pattern.model import (
    MACHINE,
    Pattern,
    PatternOrigin,
    PatternSeries,
    PatternState,
    Scope,
)
from anomify.pattern.points import excursion_of, without_earlier
from anomify.pattern.wording import named
from anomify.storage.errors import Damaged

# The newest patterns of a metric and of its family that are used.
MOST_IN_REACH: Final = 1000
# Patterns that are kept in memory, of about 3 kB each; those used longest ago are dropped first.
MOST_IN_MEMORY: Final = 50_000

METRICS_AT_ONCE: Final = 500


StoredPattern = tuple[Pattern, PatternSeries]

_NO_CHANGES = (0, 0)


class KnownPatterns:
    """Which metrics have patterns in reach, as of the last `reload`; for use by one thread.

    A call of `reload` costs one small query while nothing changes. The patterns of a metric are
    read when they are needed. All methods only read, inside a unit of work.
    """

    def __init__(self) -> None:
        """Start without any pattern; call `reload` before the first question."""
        self._changes = _NO_CHANGES
        self._metric_ids: frozenset[int] = frozenset()
        # Pairs of an org and the hash of a family that has patterns for all its metrics.
        self._families: frozenset[tuple[int, bytes]] = frozenset()
        # The patterns of a metric, and how many of them are in memory for it alone.
        self._in_memory: OrderedDict[int, tuple[PatternsInReach | None, int]] = OrderedDict()
        # Those of the metrics of a family that have no patterns of their own.
        self._shared: dict[tuple[int, bytes], PatternsInReach | None] = {}
        self._count = 0

    def __bool__(self) -> bool:
        """Return whether any pattern is used."""
        return bool(self._metric_ids or self._families)

    @property
    def has_changed_ever(self) -> bool:
        """Return whether there has ever been a pattern: there may be open matches."""
        return self._changes != _NO_CHANGES

    def reload(self) -> bool:
        """Drop what is in memory if patterns have changed; return whether they have."""
        changes = changes_so_far()
        if changes == self._changes:
            return False
        self._changes = changes
        self._in_memory.clear()
        self._shared.clear()
        self._count = 0
        self._metric_ids = frozenset(
            session().scalars(
                select(Pattern.metric_id).where(Pattern.state == PatternState.ACTIVE).distinct()
            )
        )
        self._families = frozenset(
            (org_id, found)
            for org_id, found in session().execute(
                select(Pattern.org_id, Pattern.family_hash)
                .where(
                    Pattern.state == PatternState.ACTIVE,
                    Pattern.scope == Scope.FAMILY,
                    Pattern.family_hash.is_not(None),
                )
                .distinct()
            )
            if found is not None
        )
        return True

    def of_metrics(self, metric_ids: Iterable[int]) -> dict[int, PatternsInReach]:
        """Return the patterns in reach of each of these metrics; one without any is missing."""
        if not self:
            return {}
        wanted = list(metric_ids)
        found = {}
        missing = []
        for metric_id in wanted:
            if metric_id in self._in_memory:
                self._in_memory.move_to_end(metric_id)
                in_reach, _ = self._in_memory[metric_id]
                if in_reach is not None:
                    found[metric_id] = in_reach
            elif metric_id in self._metric_ids or self._families:
                missing.append(metric_id)
        for metric_id, in_reach in self._read(missing):
            is_alone = metric_id in self._metric_ids
            self._keep(metric_id, in_reach, in_reach.size if in_reach and is_alone else 1)
            if in_reach is not None:
                found[metric_id] = in_reach
        return found

    def _keep(self, metric_id: int, in_reach: PatternsInReach | None, size: int) -> None:
        self._in_memory[metric_id] = in_reach, size
        self._count += size
        while self._count > MOST_IN_MEMORY and len(self._in_memory) > 1:
            _, (_, dropped) = self._in_memory.popitem(last=False)
            self._count -= dropped

    def _read(self, metric_ids: list[int]) -> Iterator[tuple[int, PatternsInReach | None]]:
        if not metric_ids:
            return
        rows = session().execute(
            select(Metric.id, Metric.org_id, Metric.name, Org.timezone)
            .join(Org, Org.id == Metric.org_id)
            .where(among(Metric.id, metric_ids))
        )
        alone: dict[int, ZoneInfo] = {}
        for metric_id, org_id, name, timezone in rows:
            family = None if is_error_like(name) else family_hash(name)
            if family is not None and (org_id, family) in self._families:
                yield metric_id, self._of_family(org_id, metric_id, family, ZoneInfo(timezone))
            elif metric_id in self._metric_ids:
                alone[metric_id] = ZoneInfo(timezone)
            else:
                yield metric_id, None
        # Many metrics may have an excursion at the same time; their own patterns are read together.
        for some in batches(list(alone), METRICS_AT_ONCE):
            own: dict[int, list[StoredPattern]] = {metric_id: [] for metric_id in some}
            for pattern, stored in session().execute(
                _newest_first((PatternState.ACTIVE,)).where(among(Pattern.metric_id, some))
            ):
                if len(own[pattern.metric_id]) < MOST_IN_REACH:
                    own[pattern.metric_id].append((pattern, stored))
            for metric_id, patterns in own.items():
                yield metric_id, _prepared(patterns, alone[metric_id])

    def _of_family(
        self, org_id: int, metric_id: int, family: bytes, zone: ZoneInfo
    ) -> PatternsInReach | None:
        """Return the patterns of a family, the same object for metrics without own patterns."""
        if metric_id in self._metric_ids:
            return read_in_reach(org_id, metric_id, family, zone)
        if (org_id, family) not in self._shared:
            self._shared[org_id, family] = read_in_reach(org_id, metric_id, family, zone)
        return self._shared[org_id, family]


def read_in_reach(
    org_id: int,
    metric_id: int,
    family: bytes | None,
    zone: ZoneInfo,
    states: Sequence[PatternState] = (PatternState.ACTIVE,),
) -> PatternsInReach | None:
    """Read the patterns of a metric, and those of its family that are for all its metrics.

    `family` is None where patterns of other metrics may not explain it. Of the patterns of one
    training one is enough, because they have the same excursion.
    """
    is_near: ColumnElement[bool] = Pattern.metric_id == metric_id
    if family is not None:
        is_of_family = and_(Pattern.scope == Scope.FAMILY, Pattern.family_hash == family)
        is_near = or_(is_near, is_of_family)
    rows = session().execute(
        _newest_first(states).where(Pattern.org_id == org_id, is_near).limit(MOST_IN_REACH)
    )
    return _prepared([(pattern, stored) for pattern, stored in rows], zone)


def _newest_first(states: Sequence[PatternState]) -> Select[Pattern, PatternSeries]:
    return (
        select(Pattern, PatternSeries)
        .join(PatternSeries, PatternSeries.pattern_id == Pattern.id)
        .where(Pattern.state.in_(states))
        .order_by(Pattern.id.desc())
        # The window is for pictures, and most of the row.
        .options(defer(PatternSeries.window_points))
    )


def _prepared(rows: Iterable[StoredPattern], zone: ZoneInfo) -> PatternsInReach | None:
    """Return the patterns for the engine; None where there are none."""
    expected: list[UsablePattern] = []
    unexpected: list[UsablePattern] = []
    invalid_ids = set()
    groups = set()
    for pattern, stored in sorted(rows, key=lambda row: (row[0].duration_seconds, row[0].id)):
        group = pattern.group_id or pattern.id
        if group in groups:
            continue
        try:
            excursion = without_earlier(excursion_of(pattern, stored, zone))
        except Damaged:
            # The other patterns still hold; `anomify doctor` checks the database.
            continue
        groups.add(group)
        if pattern.origin == PatternOrigin.INVALIDATED:
            invalid_ids.add(pattern.id)
        (unexpected if pattern.positive else expected).append(
            UsablePattern(
                id=pattern.id,
                excursion=excursion,
                name=named(pattern, zone),
                is_growing=pattern.is_growing,
                used_since=pattern.state_at,
                is_found=pattern.origin == PatternOrigin.LEARNT and pattern.state_by == MACHINE,
            )
        )
    if not expected and not unexpected:
        return None
    return PatternsInReach(expected, unexpected, zone, invalid_ids)
