"""Record which anomalies a user has seen; a failure to write that is only logged."""

import logging
from collections.abc import Iterable

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.anomaly.model import Anomaly
from anomify.anomaly.unread import mark_seen
from anomify.auth.session_id import SHORT_WAIT_SECONDS
from anomify.auth.subject import UserSubject, subject
from anomify.edge.app_state import app_state
from anomify.edge.problem import cause_of

log = logging.getLogger(__name__)


def note_seen(listed: Iterable[Anomaly]) -> None:
    """Record that these anomalies of the org were listed for the user; others are ignored.

    No unit of work may be open. It writes only if one of them is new to the user.
    """
    caller = subject()
    newest = max((anomaly.id for anomaly in listed), default=0)
    if not isinstance(caller, UserSubject) or newest <= (caller.user.seen_anomaly_id or 0):
        return
    try:
        with app_state().database.unit_of_work(wait_seconds=SHORT_WAIT_SECONDS):
            mark_seen(caller.user.id, newest)
    except (OperationalError, PoolTimeout) as error:
        log.warning("which anomalies a user has seen could not be written: %s", cause_of(error))
