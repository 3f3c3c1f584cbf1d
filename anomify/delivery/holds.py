"""Why messages about metrics are held back now: silences, quiet hours, and the quiet time."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select

from anomify.anomaly.model import Span
from anomify.contact_point.model import ContactPoint
from anomify.contact_point.people import person_of
from anomify.db import batches, session
from anomify.delivery.decision import FLAPPING_WINDOW, Hold
from anomify.delivery.model import Notification
from anomify.incident.model import IncidentMember
from anomify.incident.queries import onsets_since
from anomify.metric.status import duration_in_words
from anomify.org.model import Org
from anomify.silence.window import SilenceDecision, quiet_reasons
from anomify.user.quiet_hours import quiet_until
from anomify.watcher.model import Watcher

QUIET_TIME: Final = "quiet time"
QUIET_HOURS: Final = "quiet hours"


class Holds:
    """Answers for one org and moment whether messages are held back, and why."""

    def __init__(self, org: Org, at: datetime) -> None:
        """Read the silences of the org that are in force at that moment."""
        self._at = at
        self._reasons = quiet_reasons(org, at)
        # Each name is asked for once for every contact point: in a storm these are many.
        self._decisions: dict[str, SilenceDecision | None] = {}

    def of(self, contact_point: ContactPoint, names: Sequence[str], severity: str) -> Hold | None:
        """Return why a message about these metrics is held back from a contact point, if it is.

        It is held back if each of the metrics is silenced, until the first of them is not any
        more; and if it is for a person whose quiet hours these are.
        """
        found = self._of_silences(names)
        user = person_of(contact_point)
        until = None if user is None else quiet_until(user, severity, self._at)
        if until is not None and (found is None or until > found.until):
            return Hold(QUIET_HOURS, "these are quiet hours of the recipient", until)
        return found

    def _of_silences(self, names: Sequence[str]) -> Hold | None:
        if not self._reasons:
            return None
        decisions = []
        for name in names:
            if name not in self._decisions:
                self._decisions[name] = self._reasons.of(name)
            decision = self._decisions[name]
            if decision is None:
                return None
            decisions.append(decision)
        first = min(decisions, key=lambda decision: decision.until)
        return Hold(first.kind, first.why, first.until)


class Onsets:
    """When anomalies of some metrics began in the time in which a metric is seen to flap."""

    def __init__(self, metric_ids: Sequence[int], at: datetime) -> None:
        """Read them as of that moment."""
        self._by_metric = onsets_since(metric_ids, at - FLAPPING_WINDOW)

    def last(self, metric_id: int) -> datetime | None:
        """Return when an anomaly of the metric last began."""
        return max(self._by_metric.get(metric_id, ()), default=None)

    def last_of(self, metric_ids: Iterable[int]) -> datetime | None:
        """Return when an anomaly of one of the metrics last began."""
        found = [last for each in metric_ids if (last := self.last(each)) is not None]
        return max(found, default=None)

    def most_before_last(self, metric_ids: Iterable[int]) -> int:
        """Return how often the metric that began most often did so before its last time."""
        return max((len(self._by_metric.get(each, ())) - 1 for each in metric_ids), default=0)


@dataclass(frozen=True, slots=True)
class Opening:
    """When an opening was told, and whether as one of too many."""

    told_at: datetime
    flapping_told_at: datetime | None


class ContactHistory:
    """Which openings of each metric one contact point was told for one watcher."""

    def __init__(self) -> None:
        """Start without any."""
        self.by_metric: dict[int, dict[int, Opening]] = defaultdict(dict)

    def quiet_hold(
        self, metric_ids: Collection[int], watcher: Watcher, at: datetime
    ) -> Hold | None:
        """Return until when all of these metrics are quiet; None if one of them is not."""
        length = timedelta(seconds=watcher.expiration_seconds)
        untils = []
        for metric_id in metric_ids:
            openings = self.by_metric.get(metric_id, {}).values()
            until = max((opening.told_at + length for opening in openings), default=at)
            if until <= at:
                return None
            untils.append(until)
        if not untils:
            return None
        words = duration_in_words(watcher.expiration_seconds * 1000)
        return Hold(
            QUIET_TIME,
            f"the watcher sends one message about a metric in {words}",
            min(untils),
        )

    def flaps_until(self, metric_ids: Collection[int], onsets: Onsets) -> datetime | None:
        """Return until when no openings are told, because one of these metrics flaps.

        That was told, and the metric has not been calm for long enough since.
        """
        moments = [
            max(opening.flapping_told_at, onsets.last(metric_id) or opening.flapping_told_at)
            for metric_id in metric_ids
            for opening in self.by_metric.get(metric_id, {}).values()
            if opening.flapping_told_at is not None
        ]
        latest = max(moments, default=None)
        return None if latest is None else latest + FLAPPING_WINDOW


class OpeningHistory:
    """The openings that contact points were told, by watcher and contact point."""

    def __init__(self) -> None:
        """Start without any."""
        self._by_contact: dict[tuple[int, int], ContactHistory] = defaultdict(ContactHistory)

    def add(
        self,
        key: tuple[int, int],
        metric_id: int,
        incident_id: int,
        opening: "Opening",
    ) -> None:
        """Note an opening of a metric."""
        self._by_contact[key].by_metric[metric_id][incident_id] = opening

    def of(self, key: tuple[int, int]) -> ContactHistory:
        """Return what the contact point was told for the watcher."""
        return self._by_contact[key]


def opening_history(
    watchers: Iterable[Watcher], metric_ids: Sequence[int], at: datetime
) -> OpeningHistory:
    """Return which openings of these metrics were told, as long ago as a quiet time may be."""
    history = OpeningHistory()
    longest: dict[int, timedelta] = {
        watcher.id: max(timedelta(seconds=watcher.expiration_seconds), FLAPPING_WINDOW)
        for watcher in watchers
    }
    if not longest:
        return history
    since = at - max(longest.values())
    for some in batches(list(metric_ids)):
        rows = session().execute(
            select(
                Notification.watcher_id,
                Notification.contact_point_id,
                Notification.incident_id,
                Notification.opening_told_at,
                Notification.flapping_told_at,
                Span.metric_id,
            )
            .join(IncidentMember, IncidentMember.incident_id == Notification.incident_id)
            .join(Span, Span.anomaly_id == IncidentMember.anomaly_id)
            .where(
                Notification.watcher_id.in_(longest),
                or_(
                    Notification.opening_told_at > since,
                    # It flaps until its recovery is told.
                    Notification.flapping_told_at.is_not(None),
                ),
                # What joined after the message was not told in it.
                IncidentMember.joined_at <= Notification.told_at,
                Span.metric_id.in_(some),
            )
        )
        for watcher_id, point_id, incident_id, told_at, flapping_told_at, metric_id in rows:
            if told_at is not None:
                opening = Opening(told_at, flapping_told_at)
                history.add((watcher_id, point_id), metric_id, incident_id, opening)
    return history
