"""Raise, extend and close admin alerts, and write the letters about them."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import exists, update

from anomify.admin_alert.kinds import ALL_STOPPED, QUOTA_EXCEEDED, SOME_STOPPED
from anomify.admin_alert.letter_text import (
    AlertText,
    ListedMetric,
    left_letter,
    raised_letter,
    recovered_letter,
)
from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.admin_alert.queries import (
    count_silent_and_returned,
    has_newer_point,
    last_left_at,
    last_letter_at,
    list_open_alerts,
    list_quota_refusals,
    list_silent_metrics,
    returned_at,
    silent_rows_by_metric,
)
from anomify.admin_alert.recipients import alert_recipients
from anomify.admin_alert.reporting import ReportingWait, StoppedMetric, StoppedMetrics
from anomify.admin_alert.settings import AlertSettings, alert_settings_of
from anomify.clock import datetime_from_ms
from anomify.db import session
from anomify.metric.model import Progress
from anomify.org.letter import post_letter
from anomify.org.model import Org, QuotaRefusal
from anomify.org.muting import is_muted

PURPOSE: Final = "adminalert"
CODE_BYTES: Final = 16
# After this long without a point a metric is no longer expected to report.
LEAVES_AFTER: Final = timedelta(hours=24)
# The quota alert recovers after this long without a refusal.
REFUSALS_FORGOTTEN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AlertInputs:
    """What decides which alerts change: stopped metrics, open alerts and recent refusals."""

    stopped: Sequence[StoppedMetrics]
    open_alerts: Sequence[RaisedAlert]
    refusals: Sequence[QuotaRefusal]

    def __bool__(self) -> bool:
        """Return whether `update_alerts` has anything to do."""
        return bool(self.stopped or self.open_alerts or self.refusals)


def reporting_waits_of(org_ids: Iterable[int]) -> dict[int, ReportingWait]:
    """Return by org id how long its metrics must be silent before an alert is raised."""
    ids = list(org_ids)
    settings = alert_settings_of(ids)
    return {
        org_id: ReportingWait(
            settings[org_id, ALL_STOPPED].wait_seconds * 1000,
            settings[org_id, SOME_STOPPED].wait_seconds * 1000,
        )
        for org_id in ids
    }


def read_alert_inputs(stopped: Sequence[StoppedMetrics], at: datetime) -> AlertInputs:
    """Read open alerts and recent refusals; true if alerts may have to be updated. Reads only."""
    return AlertInputs(
        stopped, list_open_alerts(), list_quota_refusals(at - REFUSALS_FORGOTTEN_AFTER)
    )


def update_alerts(stopped: Sequence[StoppedMetrics], at: datetime, base_url: str) -> list[int]:
    """Raise, extend and close alerts, and write letters. Repeating the call changes nothing.

    Returns the ids of metrics that have been silent for a day and are no longer expected to report.
    Links in letters begin with `base_url`.
    """
    inputs = read_alert_inputs(stopped, at)
    open_alerts = {(alert.org_id, alert.type_id): alert for alert in inputs.open_alerts}
    stopped_by_org = {one.org_id: one for one in stopped}
    refusals = {one.org_id: one for one in inputs.refusals}
    org_ids = {org_id for org_id, _ in open_alerts} | set(stopped_by_org) | set(refusals)
    left: list[int] = []
    for org_id in sorted(org_ids):
        org = session().get(Org, org_id)
        if org is None or org.is_demo:
            continue
        alerts = _OrgAlerts(org, at, base_url)
        for type_id in (ALL_STOPPED, SOME_STOPPED):
            left += alerts.update_metric_alert(
                type_id, open_alerts.get((org_id, type_id)), stopped_by_org.get(org_id)
            )
        alerts.update_quota_alert(open_alerts.get((org_id, QUOTA_EXCEEDED)), refusals.get(org_id))
    return left


class _OrgAlerts:
    """Updates the alerts of one org at one moment."""

    def __init__(self, org: Org, at: datetime, base_url: str) -> None:
        self._org = org
        self._at = at
        self._base_url = base_url
        self._settings = alert_settings_of([org.id])

    def update_metric_alert(
        self, type_id: int, alert: RaisedAlert | None, stopped: StoppedMetrics | None
    ) -> list[int]:
        """Update the alert of this kind; return the metrics that left after a day of silence."""
        settings = self._settings[self._org.id, type_id]
        if alert is not None:
            self._mark_returned(alert)
            if not settings.is_enabled or self._has_recovered(alert):
                if alert.mailed_at is not None and is_muted(self._org, self._at):
                    # The alert closes, with its letter, at the end of the mute.
                    return []
                self._close(alert, settings)
                alert = None
        is_this_kind = stopped is not None and stopped.is_all == (type_id == ALL_STOPPED)
        if stopped is not None and is_this_kind and settings.is_enabled:
            alert = alert or self._raise_for_metrics(type_id, stopped.metrics)
            self._add_metrics(alert, stopped.metrics)
        if alert is None:
            return []
        self._write_about_new_metrics(alert, settings)
        return self._remove_silent_for_a_day(alert, settings, stopped)

    def update_quota_alert(self, alert: RaisedAlert | None, refusal: QuotaRefusal | None) -> None:
        """Raise, extend or close the alert about an exceeded quota."""
        if alert is None and refusal is not None:
            alert = self._raise(QUOTA_EXCEEDED, refusal.refused_at)
            alert.metric_count = len(refusal.names)
        if alert is None:
            return
        if refusal is None:
            alert.recovered_at = self._at
            return
        alert.metric_count = len(refusal.names)
        settings = self._settings[self._org.id, QUOTA_EXCEEDED]
        if alert.mailed_at is None and self._may_write(settings):
            refused = [ListedMetric(name, refusal.refused_at) for name in refusal.names]
            self._write(settings, raised_letter(self._org, alert, refused, self._base_url))
            alert.mailed_at = self._at

    def _raise_for_metrics(self, type_id: int, metrics: Sequence[StoppedMetric]) -> RaisedAlert:
        return self._raise(type_id, datetime_from_ms(min(one.since_ms for one in metrics)))

    def _raise(self, type_id: int, began_at: datetime) -> RaisedAlert:
        alert = RaisedAlert(
            org_id=self._org.id,
            type_id=type_id,
            code=secrets.token_hex(CODE_BYTES),
            raised_at=self._at,
            began_at=began_at,
            metric_count=0,
        )
        session().add(alert)
        session().flush()
        return alert

    def _add_metrics(self, alert: RaisedAlert, metrics: Sequence[StoppedMetric]) -> None:
        rows = silent_rows_by_metric(alert)
        for one in metrics:
            row = rows.get(one.metric_id)
            if row is None:
                row = SilentMetric(alert_id=alert.id, metric_id=one.metric_id)
                session().add(row)
                rows[one.metric_id] = row
            elif row.returned_at is None:
                continue
            # Either new, or it had returned and has stopped again.
            row.silent_since, row.noticed_at = datetime_from_ms(one.since_ms), self._at
            row.last_ms, row.returned_at, row.left_at = one.last_ms, None, None
        alert.metric_count = len(rows)
        session().flush()

    def _mark_returned(self, alert: RaisedAlert) -> None:
        has_returned = exists().where(
            Progress.metric_id == SilentMetric.metric_id,
            Progress.judged_until_ms > SilentMetric.last_ms,
        )
        session().execute(
            update(SilentMetric)
            .where(
                SilentMetric.alert_id == alert.id,
                SilentMetric.returned_at.is_(None),
                has_returned,
            )
            .values(returned_at=self._at)
            .execution_options(synchronize_session="fetch")
        )

    def _has_recovered(self, alert: RaisedAlert) -> bool:
        silent, returned = count_silent_and_returned(alert)
        if alert.type_id == SOME_STOPPED:
            return not silent
        return bool(returned) or has_newer_point(alert)

    def _close(self, alert: RaisedAlert, settings: AlertSettings) -> None:
        alert.recovered_at = returned_at(alert) or self._at
        _, returned = count_silent_and_returned(alert)
        was_mailed = alert.mailed_at is not None
        if was_mailed and settings.is_enabled and (returned or alert.type_id == ALL_STOPPED):
            self._write(settings, recovered_letter(self._org, alert, returned, self._base_url))

    def _write_about_new_metrics(self, alert: RaisedAlert, settings: AlertSettings) -> None:
        new = [
            (name, row)
            for name, row in list_silent_metrics(alert)
            if alert.mailed_at is None or row.noticed_at > alert.mailed_at
        ]
        if not new or is_muted(self._org, self._at) or not self._may_write(settings):
            return
        listed = [ListedMetric(name, row.silent_since) for name, row in new]
        self._write(settings, raised_letter(self._org, alert, listed, self._base_url))
        alert.mailed_at = self._at

    def _remove_silent_for_a_day(
        self, alert: RaisedAlert, settings: AlertSettings, stopped: StoppedMetrics | None
    ) -> list[int]:
        # Only metrics that are overdue now. After a time in which no worker ran, each metric first
        # has its whole wait again in which to report.
        overdue = {one.metric_id for one in stopped.metrics} if stopped else set()
        leaving = [
            (name, row)
            for name, row in list_silent_metrics(alert)
            if row.metric_id in overdue and row.silent_since <= self._at - LEAVES_AFTER
        ]
        last_left = last_left_at(alert)
        expiration = timedelta(seconds=settings.expiration_seconds)
        is_too_soon = last_left is not None and self._at - last_left < expiration
        if not leaving or is_too_soon or is_muted(self._org, self._at):
            return []
        for _, row in leaving:
            row.left_at = self._at
        session().flush()
        names = [name for name, _ in leaving]
        self._write(settings, left_letter(self._org, alert, names, self._base_url))
        if alert.type_id == SOME_STOPPED and not count_silent_and_returned(alert)[0]:
            alert.recovered_at = self._at
        return [row.metric_id for _, row in leaving]

    def _may_write(self, settings: AlertSettings) -> bool:
        last = last_letter_at(self._org.id, settings.kind.id)
        return last is None or self._at - last >= timedelta(seconds=settings.expiration_seconds)

    def _write(self, settings: AlertSettings, letter: AlertText) -> None:
        for user in alert_recipients(self._org.id, settings):
            post_letter(
                user.email, letter.subject, letter.text, org_id=self._org.id, purpose=PURPOSE
            )
