"""Every SELECT about admin alerts; functions without an org are for the worker."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Row, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from anomify.admin_alert.kinds import ALL_STOPPED, KINDS, SOME_STOPPED
from anomify.admin_alert.model import AdminAlert, RaisedAlert, SilentMetric
from anomify.db import Page, session
from anomify.detection.state import YOUNG_SECONDS
from anomify.errors import NotFound
from anomify.metric.model import Metric, Progress
from anomify.org.model import QuotaRefusal
from anomify.user.model import User

ADMIN_ROLES: Final = ("admin", "owner")

# Whether a metric can be expected to report: it has had several points, for a time, at a regular
# distance. Points that people send by hand and a script that ran once are no promise of more. Ten
# points are enough, or five where they are hours apart, as nobody sends them by hand for so long.
REGULAR_LEAST_MS: Final = 30 * 60_000
REGULAR_POINTS: Final = 10
REGULAR_SLOW_POINTS: Final = 5
SLOW_MS: Final = 3_600_000
# Points at the usual distance fill at least this part of the time since the first one; of a longer
# time only so much is looked at, because a metric may be judged again from a part of its past.
REGULAR_PART: Final = 0.5
REGULAR_MOST_MS: Final = 86_400_000

_COVERED_MS = (Progress.points_seen - 1) * Progress.resolution_ms
_FIRST_MS = Progress.young_until_ms - int(YOUNG_SECONDS * 1000)
_LASTED_MS = case(
    # Rows of older versions do not hold when the first point came.
    (Progress.young_until_ms == 0, 0),
    (Progress.judged_until_ms - _FIRST_MS > REGULAR_MOST_MS, REGULAR_MOST_MS),
    else_=Progress.judged_until_ms - _FIRST_MS,
)
_HAS_BEEN_REGULAR = and_(
    or_(
        Progress.points_seen >= REGULAR_POINTS,
        and_(
            Progress.points_seen >= REGULAR_SLOW_POINTS,
            Progress.resolution_ms >= SLOW_MS,
        ),
    ),
    _COVERED_MS >= REGULAR_LEAST_MS,
    _COVERED_MS >= REGULAR_PART * _LASTED_MS,
)


def list_settings_rows(org_ids: Collection[int]) -> list[AdminAlert]:
    """Return the stored settings of the orgs."""
    return list(session().scalars(select(AdminAlert).where(AdminAlert.org_id.in_(org_ids))))


def get_raised_alert(org_id: int, code: str) -> RaisedAlert:
    """Return the org's raised alert with this code. Raises `NotFound`."""
    alert = session().scalar(
        select(RaisedAlert).where(RaisedAlert.org_id == org_id, RaisedAlert.code == code)
    )
    if alert is None:
        raise NotFound("There is no such admin alert in your org.")
    return alert


def list_open_alerts() -> list[RaisedAlert]:
    """Return the alerts of every org that have not recovered, in the order they were raised."""
    rows = select(RaisedAlert).where(RaisedAlert.recovered_at.is_(None)).order_by(RaisedAlert.id)
    return list(session().scalars(rows))


def list_alerts_raised(
    org_id: int, *, from_at: datetime, until_at: datetime, limit: int
) -> Page[RaisedAlert]:
    """Return the org's alerts that were raised in [from_at, until_at), the latest first."""
    return _list_alerts(org_id, RaisedAlert.raised_at, from_at, until_at, limit)


def list_alerts_recovered(
    org_id: int, *, from_at: datetime, until_at: datetime, limit: int
) -> Page[RaisedAlert]:
    """Return the org's alerts that recovered in [from_at, until_at), the latest first."""
    return _list_alerts(org_id, RaisedAlert.recovered_at, from_at, until_at, limit)


def _list_alerts(
    org_id: int,
    column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    from_at: datetime,
    until_at: datetime,
    limit: int,
) -> Page[RaisedAlert]:
    wanted = (RaisedAlert.org_id == org_id, column >= from_at, column < until_at)
    rows = session().scalars(
        select(RaisedAlert)
        .where(*wanted)
        .order_by(column.desc(), RaisedAlert.id.desc())
        .limit(limit)
    )
    total = session().scalar(select(func.count()).select_from(RaisedAlert).where(*wanted))
    return Page(list(rows), total or 0)


def last_letter_at(org_id: int, type_id: int) -> datetime | None:
    """Return when the org's admins were last written to about this kind of alert."""
    return session().scalar(
        select(func.max(RaisedAlert.mailed_at)).where(
            RaisedAlert.org_id == org_id, RaisedAlert.type_id == type_id
        )
    )


def list_metrics_of(alert: RaisedAlert, *, limit: int) -> list[tuple[str, SilentMetric]]:
    """Return the alert's metrics with their names: silent ones first, then by name."""
    rows = session().execute(
        select(Metric.name, SilentMetric)
        .join(Metric, Metric.id == SilentMetric.metric_id)
        .where(SilentMetric.alert_id == alert.id, Metric.org_id == alert.org_id)
        .order_by(SilentMetric.returned_at.is_not(None), Metric.name)
        .limit(limit)
    )
    return [(name, row) for name, row in rows]


def list_silent_metrics(alert: RaisedAlert) -> list[tuple[str, SilentMetric]]:
    """Return the alert's metrics that have neither returned nor left, with their names."""
    rows = session().execute(
        select(Metric.name, SilentMetric)
        .join(Metric, Metric.id == SilentMetric.metric_id)
        .where(
            SilentMetric.alert_id == alert.id,
            SilentMetric.returned_at.is_(None),
            SilentMetric.left_at.is_(None),
        )
        .order_by(SilentMetric.silent_since, Metric.name)
    )
    return [(name, row) for name, row in rows]


def silent_rows_by_metric(alert: RaisedAlert) -> dict[int, SilentMetric]:
    """Return the rows of the alert's metrics by metric id."""
    rows = select(SilentMetric).where(SilentMetric.alert_id == alert.id)
    return {row.metric_id: row for row in session().scalars(rows)}


def count_silent_and_returned(alert: RaisedAlert) -> tuple[int, int]:
    """Return how many of the alert's metrics are still silent and how many have returned."""
    row = session().execute(
        select(
            func.count().filter(SilentMetric.returned_at.is_(None), SilentMetric.left_at.is_(None)),
            func.count().filter(SilentMetric.returned_at.is_not(None)),
        ).where(SilentMetric.alert_id == alert.id)
    )
    silent, returned = row.one()
    return silent, returned


def heading_of(alert: RaisedAlert) -> str:
    """Return what an alert is about as it is now: it may be over."""
    kind = KINDS[alert.type_id]
    if alert.recovered_at is None:
        return kind.name
    if alert.type_id == SOME_STOPPED and not count_silent_and_returned(alert)[1]:
        return "Stopped metrics are no longer expected to report"
    return kind.name_when_over


def has_newer_point(alert: RaisedAlert) -> bool:
    """Return whether any metric of the org has a point later than all of the alert's metrics."""
    newest = select(func.max(SilentMetric.last_ms)).where(SilentMetric.alert_id == alert.id)
    found = (
        select(Progress.metric_id)
        .join(Metric, Metric.id == Progress.metric_id)
        .where(
            Metric.org_id == alert.org_id,
            Progress.judged_until_ms > func.coalesce(newest.scalar_subquery(), 0),
        )
        .limit(1)
    )
    return session().scalar(found) is not None


def returned_at(alert: RaisedAlert) -> datetime | None:
    """Return when the first metric returned if all had stopped, or else when the last one did."""
    aggregate = func.min if alert.type_id == ALL_STOPPED else func.max
    when = select(aggregate(SilentMetric.returned_at)).where(SilentMetric.alert_id == alert.id)
    return session().scalar(when)


def last_left_at(alert: RaisedAlert) -> datetime | None:
    """Return when the last of the alert's metrics left after a day of silence."""
    when = select(func.max(SilentMetric.left_at)).where(SilentMetric.alert_id == alert.id)
    return session().scalar(when)


def read_progress() -> Sequence[Row[int, int, int, int, int | None, bool]]:
    """Return how far every metric that is not excluded has been judged, by org and metric id.

    Each row holds the metric's id, its org's id, the timestamp of its newest judged point, the
    silence after which it is stale, the time from which silence is an anomaly (or None), and
    whether it must report: it has been regular, has not ended and may not be silent. Times are in
    milliseconds.
    """
    return (
        session()
        # On the connection, because mapped objects would be slow: there is a row for every metric.
        .connection()
        .execute(
            select(
                Metric.id,
                Metric.org_id,
                Progress.judged_until_ms,
                Progress.stale_after_ms,
                Progress.silent_from_ms,
                Progress.has_ended.is_(False)
                & Progress.may_be_silent.is_(False)
                & _HAS_BEEN_REGULAR,
            )
            .join(Progress, Progress.metric_id == Metric.id)
            .where(Metric.excluded_by.is_(None))
            .order_by(Metric.org_id, Metric.id)
        )
        .all()
    )


def list_quota_refusals(since: datetime) -> list[QuotaRefusal]:
    """Return the refusals of every org whose quota has refused a metric after `since`."""
    return list(session().scalars(select(QuotaRefusal).where(QuotaRefusal.refused_at > since)))


def refused_names(org_id: int) -> list[str]:
    """Return the last few metric names that the org's quota refused."""
    refusal = session().get(QuotaRefusal, org_id)
    return [] if refusal is None else list(refusal.names)


def list_users(org_id: int, user_ids: Sequence[int]) -> list[User]:
    """Return the users of the org with these ids, in order of their ids."""
    rows = select(User).where(User.org_id == org_id, User.id.in_(user_ids)).order_by(User.id)
    return list(session().scalars(rows))


def list_admins(org_id: int) -> list[User]:
    """Return the admins and owners of the org, in order of their ids."""
    rows = select(User).where(User.org_id == org_id, User.role.in_(ADMIN_ROLES)).order_by(User.id)
    return list(session().scalars(rows))
