"""Admin alerts, raised and recovered: metrics that have stopped, and a quota that is used up."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import exists, func, select, update

from anomify.admin_alert.letter_text import (
    AlertText,
    StoppedMetric,
    left_letter,
    raised_letter,
    recovered_letter,
)
from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.admin_alert.recipients import alert_recipients
from anomify.admin_alert.reporting import ReportingWait, Silent, Stopped
from anomify.admin_alert.settings import (
    ALL_STOPPED,
    QUOTA_EXCEEDED,
    SOME_STOPPED,
    AlertSettings,
    alert_settings_of,
    last_told_at,
    list_running,
)
from anomify.db import session
from anomify.metric.model import Metric, Progress
from anomify.org.letter import post_letter
from anomify.org.model import Org, QuotaRefusal
from anomify.org.muting import is_muted

PURPOSE: Final = "adminalert"
CODE_BYTES: Final = 16
# A metric silent for so long leaves the pipeline: it is not waited for any longer.
LEAVES_AFTER: Final = timedelta(hours=24)
# Without a refusal for so long the quota is no trouble any more.
REFUSALS_FORGOTTEN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class OutageUpdate:
    """What there is to do, and for whom."""

    stopped: Sequence[Stopped]
    running: Sequence[RaisedAlert]
    refusals: Sequence[QuotaRefusal]

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.stopped or self.running or self.refusals)


def waits_of(org_ids: Iterable[int]) -> dict[int, ReportingWait]:
    """Return how long each of the orgs wants to wait before it is warned."""
    ids = list(org_ids)
    wishes = alert_settings_of(ids)
    return {
        org_id: ReportingWait(
            wishes[org_id, ALL_STOPPED].wait_seconds * 1000,
            wishes[org_id, SOME_STOPPED].wait_seconds * 1000,
        )
        for org_id in ids
    }


def outages(stopped: Sequence[Stopped], at: datetime) -> OutageUpdate:
    """Look, without changing anything, whether anybody has to be warned or told that it is over."""
    refusals = session().scalars(
        select(QuotaRefusal).where(QuotaRefusal.refused_at > at - REFUSALS_FORGOTTEN_AFTER)
    )
    return OutageUpdate(stopped, list_running(), list(refusals))


def update_alerts(stopped: Sequence[Stopped], at: datetime, base_url: str) -> list[int]:
    """Raise, extend and end warnings, and write to admins; doing it again changes nothing.

    Return the metrics that have been silent for a day and are waited for no longer.
    """
    running = {(one.org_id, one.type_id): one for one in list_running()}
    refusals = outages(stopped, at).refusals
    orgs = {org_id for org_id, _ in running}
    orgs |= {one.org_id for one in stopped} | {one.org_id for one in refusals}
    left: list[int] = []
    by_org = {one.org_id: one for one in stopped}
    refused = {one.org_id: one for one in refusals}
    for org_id in sorted(orgs):
        org = session().get(Org, org_id)
        if org is None or org.is_demo:
            continue
        desk = _Desk(org, at, base_url)
        for type_id in (ALL_STOPPED, SOME_STOPPED):
            left += desk.see_to_metrics(type_id, running.get((org_id, type_id)), by_org.get(org_id))
        desk.see_to_quota(running.get((org_id, QUOTA_EXCEEDED)), refused.get(org_id))
    return left


class _Desk:
    """One org's warnings at one moment."""

    def __init__(self, org: Org, at: datetime, base_url: str) -> None:
        self._org = org
        self._at = at
        self._base_url = base_url
        self._wishes = alert_settings_of([org.id])

    def see_to_metrics(
        self, type_id: int, raised: RaisedAlert | None, stopped: Stopped | None
    ) -> list[int]:
        requested = self._wishes[self._org.id, type_id]
        if raised is not None:
            self._note_returned(raised)
            if not requested.is_enabled or self._is_over(raised):
                if raised.told_at is not None and is_muted(self._org, self._at):
                    # Told when people want to hear again, like everything that has changed.
                    return []
                self._end(raised, requested)
                raised = None
        is_ours = stopped is not None and stopped.is_all == (type_id == ALL_STOPPED)
        if stopped is not None and is_ours and requested.is_enabled:
            raised = raised or self._raise(type_id, stopped.metrics)
            self._add(raised, stopped.metrics)
        if raised is None:
            return []
        self._tell(raised, requested)
        return self._let_leave(raised, requested, stopped)

    def see_to_quota(self, raised: RaisedAlert | None, refusal: QuotaRefusal | None) -> None:
        if raised is None and refusal is not None:
            raised = self._new(QUOTA_EXCEEDED, refusal.refused_at)
            raised.metric_count = len(refusal.names)
        if raised is None:
            return
        if refusal is None:
            raised.recovered_at = self._at
            return
        raised.metric_count = len(refusal.names)
        requested = self._wishes[self._org.id, QUOTA_EXCEEDED]
        if raised.told_at is None and self._may_write(requested):
            refused = [StoppedMetric(name, refusal.refused_at) for name in refusal.names]
            self._write(requested, raised_letter(self._org, raised, refused, self._base_url))
            raised.told_at = self._at

    def _raise(self, type_id: int, metrics: Sequence[Silent]) -> RaisedAlert:
        return self._new(type_id, _moment(min(one.since_ms for one in metrics)))

    def _new(self, type_id: int, began_at: datetime) -> RaisedAlert:
        raised = RaisedAlert(
            org_id=self._org.id,
            type_id=type_id,
            code=secrets.token_hex(CODE_BYTES),
            raised_at=self._at,
            began_at=began_at,
            metric_count=0,
        )
        session().add(raised)
        session().flush()
        return raised

    def _add(self, raised: RaisedAlert, metrics: Sequence[Silent]) -> None:
        known = {
            row.metric_id: row
            for row in session().scalars(
                select(SilentMetric).where(SilentMetric.alert_id == raised.id)
            )
        }
        for one in metrics:
            row = known.get(one.metric_id)
            if row is None:
                row = SilentMetric(alert_id=raised.id, metric_id=one.metric_id)
                session().add(row)
                known[one.metric_id] = row
            elif row.returned_at is None:
                continue
            # New, or back for a while and silent again.
            row.silent_since, row.noticed_at = _moment(one.since_ms), self._at
            row.last_ms, row.returned_at, row.left_at = one.last_ms, None, None
        raised.metric_count = len(known)
        session().flush()

    def _note_returned(self, raised: RaisedAlert) -> None:
        has_come = exists().where(
            Progress.metric_id == SilentMetric.metric_id,
            Progress.judged_until_ms > SilentMetric.last_ms,
        )
        session().execute(
            update(SilentMetric)
            .where(SilentMetric.alert_id == raised.id, SilentMetric.returned_at.is_(None), has_come)
            .values(returned_at=self._at)
            .execution_options(synchronize_session="fetch")
        )

    def _is_over(self, raised: RaisedAlert) -> bool:
        waited, returned = self._count(raised)
        if raised.type_id == SOME_STOPPED:
            return not waited
        if returned:
            return True
        newest = select(func.max(SilentMetric.last_ms)).where(SilentMetric.alert_id == raised.id)
        has_new = (
            select(Progress.metric_id)
            .join(Metric, Metric.id == Progress.metric_id)
            .where(
                Metric.org_id == self._org.id,
                Progress.judged_until_ms > func.coalesce(newest.scalar_subquery(), 0),
            )
            .limit(1)
        )
        return session().scalar(has_new) is not None

    def _count(self, raised: RaisedAlert) -> tuple[int, int]:
        """Return for how many metrics it still waits, and how many are back."""
        row = session().execute(
            select(
                func.count().filter(
                    SilentMetric.returned_at.is_(None), SilentMetric.left_at.is_(None)
                ),
                func.count().filter(SilentMetric.returned_at.is_not(None)),
            ).where(SilentMetric.alert_id == raised.id)
        )
        waited, returned = row.one()
        return waited, returned

    def _end(self, raised: RaisedAlert, requested: AlertSettings) -> None:
        raised.recovered_at = self._returned_at(raised) or self._at
        _, returned = self._count(raised)
        was_told = raised.told_at is not None
        if was_told and requested.is_enabled and (returned or raised.type_id == ALL_STOPPED):
            self._write(requested, recovered_letter(self._org, raised, returned, self._base_url))

    def _returned_at(self, raised: RaisedAlert) -> datetime | None:
        is_first = raised.type_id == ALL_STOPPED
        when = (func.min if is_first else func.max)(SilentMetric.returned_at)
        return session().scalar(select(when).where(SilentMetric.alert_id == raised.id))

    def _tell(self, raised: RaisedAlert, requested: AlertSettings) -> None:
        silent = self._silent(raised)
        untold = [
            (name, row)
            for name, row in silent
            if raised.told_at is None or row.noticed_at > raised.told_at
        ]
        if not untold or is_muted(self._org, self._at) or not self._may_write(requested):
            return
        gone = [StoppedMetric(name, row.silent_since) for name, row in untold]
        self._write(requested, raised_letter(self._org, raised, gone, self._base_url))
        raised.told_at = self._at

    def _let_leave(
        self, raised: RaisedAlert, requested: AlertSettings, stopped: Stopped | None
    ) -> list[int]:
        # After a time in which nobody listened they have as long as ever to come back first.
        missed = {one.metric_id for one in stopped.metrics} if stopped else set()
        leaving = [
            (name, row)
            for name, row in self._silent(raised)
            if row.metric_id in missed and row.silent_since <= self._at - LEAVES_AFTER
        ]
        last_left = session().scalar(
            select(func.max(SilentMetric.left_at)).where(SilentMetric.alert_id == raised.id)
        )
        expiration = timedelta(seconds=requested.expiration_seconds)
        is_too_soon = last_left is not None and self._at - last_left < expiration
        if not leaving or is_too_soon or is_muted(self._org, self._at):
            return []
        for _, row in leaving:
            row.left_at = self._at
        session().flush()
        self._write(
            requested, left_letter(self._org, raised, [name for name, _ in leaving], self._base_url)
        )
        if raised.type_id == SOME_STOPPED and not self._count(raised)[0]:
            raised.recovered_at = self._at
        return [row.metric_id for _, row in leaving]

    def _silent(self, raised: RaisedAlert) -> list[tuple[str, SilentMetric]]:
        rows = session().execute(
            select(Metric.name, SilentMetric)
            .join(Metric, Metric.id == SilentMetric.metric_id)
            .where(
                SilentMetric.alert_id == raised.id,
                SilentMetric.returned_at.is_(None),
                SilentMetric.left_at.is_(None),
            )
            .order_by(SilentMetric.silent_since, Metric.name)
        )
        return [(name, row) for name, row in rows]

    def _may_write(self, requested: AlertSettings) -> bool:
        last = last_told_at(self._org.id, requested.kind.id)
        return last is None or self._at - last >= timedelta(seconds=requested.expiration_seconds)

    def _write(self, requested: AlertSettings, letter: AlertText) -> None:
        for user in alert_recipients(self._org.id, requested):
            post_letter(
                user.email, letter.subject, letter.text, org_id=self._org.id, purpose=PURPOSE
            )


def silent_metrics(raised: RaisedAlert, *, limit: int) -> list[tuple[str, SilentMetric]]:
    """Return the metrics that a warning is about by name, those still silent first."""
    rows = session().execute(
        select(Metric.name, SilentMetric)
        .join(Metric, Metric.id == SilentMetric.metric_id)
        .where(SilentMetric.alert_id == raised.id, Metric.org_id == raised.org_id)
        .order_by(SilentMetric.returned_at.is_not(None), Metric.name)
        .limit(limit)
    )
    return [(name, row) for name, row in rows]


def refused_names(org_id: int) -> list[str]:
    """Return the last few names that the org's quota had no room for."""
    refusal = session().get(QuotaRefusal, org_id)
    return [] if refusal is None else list(refusal.names)


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
