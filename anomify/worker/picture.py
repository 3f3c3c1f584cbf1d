"""Render the picture of an anomaly for a message."""

from collections.abc import Callable

from anomify.anomaly.queries import get_anomaly
from anomify.anomaly.render_pool import render_pool
from anomify.db import Database
from anomify.delivery.facts import Facts
from anomify.match.charts import chart_of_anomaly_with_matches
from anomify.metric.store import PointStore
from anomify.org.queries import find_org
from anomify.rendering.chart import ChartLook


def picture_with(database: Database, points: PointStore) -> Callable[[Facts], bytes | None]:
    """Return a function that renders the anomaly of a message as a PNG; None if there is none."""

    def picture_of(facts: Facts) -> bytes | None:
        if facts.anomaly is None:
            return None
        # This thread has its own view of the log, which is updated here.
        points.follow()
        with database.unit_of_work(write=False):
            org = find_org(facts.org_id)
            if org is None:
                return None
            anomaly = get_anomaly(org.id, facts.anomaly.id)
            chart = chart_of_anomaly_with_matches(org, anomaly, points, look=ChartLook())
        return render_pool.render(chart)

    return picture_of
