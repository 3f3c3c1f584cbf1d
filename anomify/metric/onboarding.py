"""The onboarding status of orgs: no metrics, points arriving, judged."""

from sqlalchemy import exists, update

from anomify.db import session
from anomify.metric.model import Metric, Progress
from anomify.org.model import (
    ONBOARDING_JUDGING,
    ONBOARDING_LIVE,
    ONBOARDING_NO_METRICS,
    ONBOARDING_RECEIVING,
    Org,
)


def raise_onboarding() -> None:
    """Raise the onboarding status of every org as its metrics allow; it never falls."""
    has_metrics = exists().where(Metric.org_id == Org.id)
    has_progress = exists().where(Metric.org_id == Org.id, Progress.metric_id == Metric.id)
    has_judged = exists().where(
        Metric.org_id == Org.id,
        Progress.metric_id == Metric.id,
        Progress.points_seen > Progress.learning_points,
    )
    for least, most, reached in (
        (ONBOARDING_NO_METRICS, ONBOARDING_RECEIVING, has_metrics),
        (ONBOARDING_RECEIVING, ONBOARDING_JUDGING, has_progress),
        (ONBOARDING_JUDGING, ONBOARDING_LIVE, has_judged),
    ):
        session().execute(
            update(Org)
            .where(Org.onboarding_status_id == least, reached)
            .values(onboarding_status_id=most)
            .execution_options(synchronize_session=False)
        )
