"""Record which anomalies a user has seen; a list does not fail where that cannot be written."""

import logging
from collections.abc import Iterable

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from anomify.anomaly.model import Anomaly
from anomify.anomaly.unread import mark_seen
from anomify.auth.session_id import PATIENCE_SECONDS
from anomify.auth.subject import UserSubject, subject
from anomify.edge.app_state import app_state
from anomify.edge.problem import cause_of

log = logging.getLogger(__name__)


def note_seen(listed: Iterable[Anomaly]) -> None:
    """Note that the newest anomalies of the org were listed for the user, if it is one.

    To be called outside a unit of work. It writes only where one of them is new to the user.
    """
    caller = subject()
    newest = max((anomaly.id for anomaly in listed), default=0)
    if not isinstance(caller, UserSubject) or newest <= (caller.user.seen_anomaly_id or 0):
        return
    try:
        with app_state().database.unit_of_work(wait_seconds=PATIENCE_SECONDS):
            mark_seen(caller.user.id, newest)
    except (OperationalError, PoolTimeout) as error:
        log.warning("which anomalies a user has seen could not be written: %s", cause_of(error))
