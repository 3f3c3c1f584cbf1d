"""Health of the parts of the service, for users, load balancers and operators."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from anomify.clock import now
from anomify.delivery.outbox import longest_due
from anomify.edge.app_state import AppState
from anomify.errors import AnomifyError
from anomify.metric.failing import count_isolated
from anomify.org.heartbeat import HEARTBEAT_MISSING, learning_again_in_words
from anomify.org.model import WorkerHeartbeat
from anomify.org.queries import list_worker_heartbeats

# Points older than this when they are judged lead to late notifications.
LAG_SECONDS_MAX = 300.0

DATABASE = "database"
LOG = "log"
WORKER = "worker"
DELIVERY = "delivery"
STORAGE = "storage"


@dataclass(frozen=True)
class Component:
    """A part of the product, and whether it works."""

    name: str
    is_ok: bool
    lag_seconds: float | None = None
    problem: str | None = None


def components(state: AppState) -> list[Component]:
    """Return the state of each part now. Does not raise: a part without an answer is not working.

    Opens a unit of work of its own.
    """
    heartbeats: list[WorkerHeartbeat] = []
    waits_since: datetime | None = None
    isolated = 0
    try:
        with state.database.unit_of_work(write=False):
            heartbeats = list_worker_heartbeats()
            waits_since = longest_due(now())
            isolated = count_isolated()
        is_database_ok = True
    except SQLAlchemyError:
        is_database_ok = False
    return [
        Component(DATABASE, is_ok=is_database_ok),
        Component(LOG, is_ok=_log_answers(state)),
        _worker(heartbeats),
        _delivery(waits_since, is_known=is_database_ok),
        _storage(len(state.points.damaged.all), isolated),
    ]


def _storage(damaged: int, isolated: int) -> Component:
    """Return whether all stored data can be read and every metric can be judged."""
    problems = [
        f"{count} {what}"
        for count, what in (
            (damaged, "stored pieces cannot be read and are left out"),
            (isolated, "metrics are isolated after failures"),
        )
        if count
    ]
    problem = f"{' and '.join(problems)}; `anomify doctor` says which" if problems else None
    return Component(STORAGE, is_ok=problem is None, problem=problem)


def _log_answers(state: AppState) -> bool:
    try:
        state.points.log.last_offset()
    except (SQLAlchemyError, AnomifyError):
        return False
    return state.points.is_following


def _delivery(waits_since: datetime | None, *, is_known: bool) -> Component:
    if not is_known:
        return Component(DELIVERY, is_ok=False)
    lag = 0.0 if waits_since is None else max((now() - waits_since).total_seconds(), 0.0)
    return Component(DELIVERY, is_ok=lag <= LAG_SECONDS_MAX, lag_seconds=round(lag, 1))


def _worker(heartbeats: list[WorkerHeartbeat]) -> Component:
    living = [
        heartbeat for heartbeat in heartbeats if now() - heartbeat.beaten_at < HEARTBEAT_MISSING
    ]
    if not living:
        return Component(WORKER, is_ok=False)
    lag = max(heartbeat.lag_seconds for heartbeat in living)
    # The newest one: another row may be of a worker that was stopped a moment ago.
    learning = learning_again_in_words(living[0])
    return Component(WORKER, is_ok=lag <= LAG_SECONDS_MAX, lag_seconds=lag, problem=learning)
