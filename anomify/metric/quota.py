"""May this org add a metric: how many count, and how many it may have."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from anomify.db import session
from anomify.metric.model import Metric
from anomify.org.model import Org

# Metrics that rules keep out do not count, but their points are kept, so there is an end to them:
# so many times the quota.
KEPT_OUT_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Quota:
    """How an org stands with its quota."""

    # Metrics that count: all that were ever accepted, until they are deleted or a rule keeps them
    # out.
    used: int
    # Metrics that rules keep out.
    kept_out: int
    # None where there is no limit.
    limit: int | None

    @property
    def room(self) -> int | None:
        """Return how many more metrics may count; None where there is no limit."""
        return None if self.limit is None else max(self.limit - self.used, 0)

    @property
    def room_kept_out(self) -> int | None:
        """Return how many more may be kept out; None where there is no limit."""
        if self.limit is None:
            return None
        return max(KEPT_OUT_TIMES * self.limit - self.kept_out, 0)


def quota_of(org_id: int) -> Quota:
    """Return how the org stands; exact for as long as the caller holds the org's lock."""
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
    limit = session().scalar(select(Org.metric_quota).where(Org.id == org_id))
    return Quota(used, kept_out, limit)
