"""The metric quota of an org: how many metrics count and how many it may have."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from anomify.billing.debt import takes_new_metrics
from anomify.clock import now
from anomify.db import session
from anomify.metric.model import Metric
from anomify.org.model import Org

# Excluded metrics do not count, but their points are stored, so their number is limited to this
# multiple of the quota.
KEPT_OUT_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Quota:
    """The use of an org's quota."""

    # Metrics that count: all that were ever accepted, until they are deleted or a rule keeps them
    # out.
    used: int
    # Excluded metrics.
    kept_out: int
    # None where there is no limit.
    limit: int | None
    # False while a bill is so long overdue that no new metrics are taken, whatever the limit.
    is_open: bool = True

    @property
    def remaining(self) -> int | None:
        """Return how many more metrics may count; None where there is no limit."""
        if not self.is_open:
            return 0
        return None if self.limit is None else max(self.limit - self.used, 0)

    @property
    def remaining_kept_out(self) -> int | None:
        """Return how many more may be kept out; None where there is no limit."""
        if not self.is_open:
            return 0
        if self.limit is None:
            return None
        return max(KEPT_OUT_TIMES * self.limit - self.kept_out, 0)


def quota_of(org_id: int) -> Quota:
    """Return the use of the org's quota; exact while the caller holds the org's lock."""
    used, kept_out = (
        session()
        .execute(
            select(
                func.count().filter(Metric.excluded_by.is_(None)),
                func.count().filter(Metric.excluded_by.is_not(None)),
            ).where(Metric.org_id == org_id)
        )
        .one()
    )
    found = (
        session()
        .execute(select(Org.metric_quota, Org.overdue_since).where(Org.id == org_id))
        .one_or_none()
    )
    limit, overdue_since = found or (None, None)
    return Quota(used, kept_out, limit, takes_new_metrics(overdue_since, now()))
