"""What a watcher would have told in the last days, decided as it is decided live."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final

from sqlalchemy import select

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import list_began
from anomify.anomaly.recording import SEVERITIES, closing_after_ms
from anomify.clock import datetime_from_ms, to_ms
from anomify.db import session
from anomify.delivery.decision import FLAPPING_WINDOW, Rules, Situation, Tell, Told, decide
from anomify.delivery.holds import ContactHistory, Onsets, Opening
from anomify.delivery.rules import rules_of
from anomify.incident.grouping import RATE_DAYS, RATE_WITHOUT, REOPEN_SECONDS
from anomify.incident.queries import memberships_of, steps_of
from anomify.incident.relation import (
    ALIKE_LEAST,
    CHANCE_MAX,
    TOGETHER_MS,
    AnomalyOnset,
    are_near,
    are_together,
    likeness,
)
from anomify.metric.store import PointStore
from anomify.pipeline.backtest_thresholds import find_crossings
from anomify.watcher.model import Watcher
from anomify.watcher.queries import metrics_matching

DAYS_MOST: Final = 90
# The most anomalies that are looked at, the newest ones, and the most messages that are listed.
ANOMALIES_MOST: Final = 5_000
LISTED_MOST: Final = 200
# An anomaly that was recorded much later than it began was found in points of the past.
LIVE_WITHIN: Final = timedelta(hours=1)
# A group of anomalies is compared with so many of the newest ones.
GROUPS_COMPARED: Final = 60

NO_SILENCES: Final = "Silences, maintenance, mutes and what people did about anomalies."
NO_CORRELATION: Final = "Whether series move together, where no incident was recorded."


@dataclass(frozen=True, slots=True)
class Found:
    """An anomaly that was recorded, or that a threshold would have found."""

    metric_id: int
    metric_name: str
    severity: str
    # What is unusual, in one sentence.
    what: str
    started_ms: int
    opened_at: datetime
    # None while it goes on.
    closed_at: datetime | None
    # 0 for what a threshold would have found.
    anomaly_id: int = 0


@dataclass(frozen=True, slots=True)
class WouldTell:
    """A message that would have been sent."""

    at: datetime
    tell: Tell
    first: Found
    # How many anomalies the message would have been about.
    anomaly_count: int


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a watcher would have told, and what of the past was not considered."""

    from_at: datetime
    until_at: datetime
    # How many incidents would have been told, and how many messages of each kind that would be.
    told_count: int
    messages: dict[str, int]
    # The newest openings, the latest first.
    openings: list[WouldTell]
    anomaly_count: int
    metric_count: int
    left_out: list[str]

    def summary(self, days: int) -> str:
        """Return the result in one sentence."""
        period = "the last day" if days == 1 else f"{days} days"
        if not self.told_count:
            return f"Would not have told you anything in {period}."
        times = "once" if self.told_count == 1 else f"{self.told_count:,} times"
        return f"Would have told you {times} in {period}."


@dataclass(slots=True)
class _Group:
    """Anomalies that would have been one incident."""

    number: int
    found: list[Found]
    onsets: list[AnomalyOnset]
    told: Told = field(default_factory=Told)

    def is_open(self, at: datetime) -> bool:
        return any(each.opened_at <= at and _goes_on(each, at) for each in self.found)

    def last_closed(self, at: datetime) -> datetime | None:
        closed = [each.closed_at for each in self.found if each.opened_at <= at and each.closed_at]
        return max(closed, default=None)


def backtest(
    org_id: int, watcher: Watcher, at: datetime, days: int, points: PointStore
) -> Backtest:
    """Return what the watcher, saved or not, would have told in the last days."""
    from_at = at - timedelta(days=days)
    metrics = metrics_matching(org_id, watcher.chips)
    left_out = [NO_SILENCES]
    if watcher.threshold_operator is None:
        found, is_cut = _recorded(org_id, watcher, from_at, at)
        if is_cut:
            left_out.append(f"All but the newest {ANOMALIES_MOST:,} anomalies.")
        left_out.append(NO_CORRELATION)
    else:
        crossings = find_crossings(metrics, watcher, from_at, at, points)
        if crossings.metrics_left:
            left_out.append(
                f"{crossings.metrics_left:,} of {len(metrics):,} metrics: too many points to look"
                " at."
            )
        found = [
            Found(
                each.metric_id,
                each.metric_name,
                watcher.severity,
                each.sentence,
                each.started_ms,
                datetime_from_ms(each.started_ms),
                None if each.ended_ms is None else datetime_from_ms(each.ended_ms),
            )
            for each in crossings.found
        ]
    groups = _Grouping(org_id, from_at, at).group(found)
    told = _Simulation(watcher, groups, at).run()
    openings = [each for each in told if each.tell in {Tell.OPENED, Tell.FLAPPING}]
    return Backtest(
        from_at,
        at,
        len(openings),
        dict(Counter(each.tell.value for each in told)),
        openings[::-1][:LISTED_MOST],
        len(found),
        len(metrics),
        left_out,
    )


def _goes_on(found: Found, at: datetime) -> bool:
    return found.closed_at is None or found.closed_at > at


def _recorded(
    org_id: int, watcher: Watcher, from_at: datetime, until_at: datetime
) -> tuple[list[Found], bool]:
    """Return the anomalies of the watcher that began in that time, and whether there are more."""
    spans = list_began(
        org_id,
        to_ms(from_at),
        to_ms(until_at),
        words=watcher.chips,
        least_severity=watcher.severity,
        limit=ANOMALIES_MOST + 1,
    )
    steps = steps_of([span.metric_id for span in spans])
    found = []
    for span in spans[:ANOMALIES_MOST]:
        started = datetime_from_ms(span.started_ms)
        late = span.anomaly.recorded_at - started
        opened_at = span.anomaly.recorded_at if timedelta(0) <= late <= LIVE_WITHIN else started
        closed_at = None
        if not span.is_open:
            last_ms = span.last_over_ms if span.ended_ms is None else span.ended_ms
            wait_ms = 0 if span.is_silence else closing_after_ms(steps.get(span.metric_id, 0))
            # What began and ended at one moment was told all the same.
            at_least = opened_at + timedelta(milliseconds=1)
            closed_at = max(datetime_from_ms(last_ms + wait_ms), at_least)
        found.append(
            Found(
                span.metric_id,
                span.metric.name,
                span.severity,
                span.explanation,
                span.started_ms,
                opened_at,
                closed_at,
                span.anomaly_id,
            )
        )
    return found, len(spans) > ANOMALIES_MOST


class _Grouping:
    """Puts anomalies into the incidents they are in, or would have been in."""

    def __init__(self, org_id: int, from_at: datetime, until_at: datetime) -> None:
        begin = from_at - timedelta(days=RATE_DAYS)
        self._begun = sorted(
            session().scalars(
                select(Anomaly.opened_at).where(
                    Anomaly.org_id == org_id,
                    Anomaly.opened_at >= begin,
                    Anomaly.opened_at < until_at,
                )
            )
        )
        self._groups: list[_Group] = []
        self._by_incident: dict[int, _Group] = {}
        self._last_of_metric: dict[int, _Group] = {}

    def group(self, found: Sequence[Found]) -> list[_Group]:
        ids = [each.anomaly_id for each in found if each.anomaly_id]
        incidents = memberships_of(ids) if ids else {}
        steps = steps_of([each.metric_id for each in found])
        for each in sorted(found, key=lambda one: (one.opened_at, one.started_ms, one.metric_id)):
            step_ms = steps.get(each.metric_id, 0)
            onset = AnomalyOnset(
                each.anomaly_id, each.metric_id, each.metric_name, each.started_ms, step_ms
            )
            incident = incidents.get(each.anomaly_id)
            if incident is not None:
                group = self._by_incident.get(incident.id)
            else:
                group = self._related(each, onset)
            if group is None:
                group = _Group(len(self._groups), [], [])
                self._groups.append(group)
            if incident is not None:
                self._by_incident[incident.id] = group
            group.found.append(each)
            group.onsets.append(onset)
            self._last_of_metric[each.metric_id] = group
        return self._groups

    def _related(self, each: Found, onset: AnomalyOnset) -> _Group | None:
        at = each.opened_at
        same = self._last_of_metric.get(each.metric_id)
        if same is not None:
            closed = same.last_closed(at)
            reopens_until = timedelta(seconds=REOPEN_SECONDS)
            if same.is_open(at) or (closed is not None and at - closed <= reopens_until):
                return same
        running = [group for group in self._groups[-GROUPS_COMPARED:] if group.is_open(at)]
        if self._is_chance_rare(at):
            for group in running:
                if any(are_together(onset, other) for other in group.onsets[:20]):
                    return group
        for group in running:
            if any(
                are_near(onset, other) and likeness(onset.name, other.name) >= ALIKE_LEAST
                for other in group.onsets[:20]
            ):
                return group
        return None

    def _is_chance_rare(self, at: datetime) -> bool:
        end = at - RATE_WITHOUT
        first = bisect_left(self._begun, end - timedelta(days=RATE_DAYS))
        begun = bisect_left(self._begun, end) - first
        return begun * 2 * TOGETHER_MS / (RATE_DAYS * 86_400_000) <= CHANCE_MAX


class _PlayedOnsets(Onsets):
    """When the anomalies of some metrics began, as far as the simulation has come."""

    def __init__(
        self, begun: Mapping[int, Sequence[datetime]], metric_ids: Iterable[int], at: datetime
    ) -> None:
        since = at - FLAPPING_WINDOW
        self._by_metric = {
            each: [moment for moment in begun[each] if since < moment <= at] for each in metric_ids
        }


class _Simulation:
    """Decides at each moment at which something can change what one contact point is told."""

    def __init__(self, watcher: Watcher, groups: Sequence[_Group], until_at: datetime) -> None:
        self._watcher = watcher
        self._rules = rules_of(watcher)
        self._groups = groups
        self._until_at = until_at
        self._history = ContactHistory()
        self._onsets: dict[int, list[datetime]] = defaultdict(list)
        for group in groups:
            for each in group.found:
                self._onsets[each.metric_id].append(each.opened_at)
        self._moments: list[tuple[datetime, int]] = []
        self._waiting: dict[int, set[datetime]] = defaultdict(set)

    def run(self) -> list[WouldTell]:
        for group in self._groups:
            for each in group.found:
                self._look(group, each.opened_at)
                if each.closed_at is not None:
                    self._look(group, each.closed_at)
        told = []
        while self._moments:
            at, number = heappop(self._moments)
            group = self._groups[number]
            self._waiting[number].discard(at)
            if (said := self._decide(group, at)) is not None:
                told.append(said)
        return told

    def _look(self, group: _Group, at: datetime) -> None:
        if at <= self._until_at and at not in self._waiting[group.number]:
            self._waiting[group.number].add(at)
            heappush(self._moments, (at, group.number))

    def _decide(self, group: _Group, at: datetime) -> WouldTell | None:
        joined = [each for each in group.found if each.opened_at <= at]
        live = [each for each in joined if _goes_on(each, at)]
        concerned = {each.metric_id for each in live or joined}
        onsets = _PlayedOnsets(self._onsets, concerned, at)
        situation = Situation(
            at=at,
            is_open=bool(live),
            severity=max((each.severity for each in joined), key=SEVERITIES.index),
            joined_at=max(each.opened_at for each in joined),
            quiet=self._history.quiet_hold(concerned, self._watcher, at),
            openings=onsets.most_before_last(concerned),
            last_onset_at=onsets.last_of(concerned),
            flaps_until=self._history.flaps_until(concerned, onsets),
        )
        decision = decide(situation, group.told, self._rules)
        group.told = decision.told
        if decision.due_at is not None:
            for moment in _next_moments(situation, group.told, self._rules):
                if moment > at:
                    self._look(group, moment)
        if decision.tell is None:
            return None
        if group.told.is_told_open and group.told.opening_told_at is not None:
            opening = Opening(group.told.opening_told_at, group.told.flapping_told_at)
            for each in joined:
                self._history.by_metric[each.metric_id][group.number] = opening
        return WouldTell(at, decision.tell, (live or joined)[0], len(live or joined))


def _next_moments(now: Situation, told: Told, rules: Rules) -> Iterable[datetime]:
    """Yield when the decision may change although nothing happens; live it is only looked at.

    Live, what goes on is looked at each minute, because people may do something about it.
    """
    if told.live_since is not None:
        yield told.live_since + rules.wait
    if now.quiet is not None:
        yield now.quiet.until
    if now.flaps_until is not None:
        yield now.flaps_until
    if told.over_since is not None:
        yield told.over_since + rules.recover_after
        yield max(told.over_since, now.last_onset_at or told.over_since) + FLAPPING_WINDOW
    if told.told_at is not None and now.is_open:
        yield told.told_at + rules.update_every
        if rules.reminder_every is not None:
            yield told.told_at + rules.reminder_every
