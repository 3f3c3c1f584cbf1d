"""The task that rebuilds a metric whose points came too late to be judged in order."""

import logging

from anomify.clock import now
from anomify.db import Database
from anomify.metric.failing import is_of_one_metric, record_failure
from anomify.metric.progress import claim_rebuild, fail_rebuild, is_rebuild_due
from anomify.worker.analyse import Analyser
from anomify.worker.ownership import OwnershipLost

log = logging.getLogger(__name__)


def rebuild_one(database: Database, analyser: Analyser) -> bool:
    """Do the rebuild that has waited longest, if one is due; return whether there was one.

    Called by the thread that judges, so that nothing else changes the metric meanwhile.
    """
    with database.unit_of_work(write=False):
        # Read first: there is seldom one, and a write transaction blocks others.
        if not is_rebuild_due(now()):
            return False
    with database.unit_of_work():
        claimed = claim_rebuild(now())
    if claimed is None or claimed.leased_until is None:
        return False
    try:
        analyser.rebuild(claimed.metric_id)
    except OwnershipLost:
        raise
    except Exception as problem:
        # One metric that cannot be rebuilt must not stop the others: the reason is stored, and the
        # rebuild is repeated later.
        log.exception("the rebuild of metric %d failed", claimed.metric_id)
        with database.unit_of_work():
            why = f"{type(problem).__name__}: {problem}"
            fail_rebuild(claimed.metric_id, claimed.leased_until, why, now())
            if is_of_one_metric(problem):
                record_failure(claimed.metric_id, "rebuilding", problem, now())
    return True
