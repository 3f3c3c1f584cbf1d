"""How the parts of the product are, for users, load balancers and whoever is on call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from anomify.clock import now
from anomify.delivery.outbox import longest_due
from anomify.edge.house import House
from anomify.errors import AnomifyError
from anomify.metric.failing import count_isolated
from anomify.org.model import WorkerBeat
from anomify.org.queries import list_worker_beats

# A worker beats every few seconds; one that has missed so many is not working.
BEAT_MISSING = timedelta(seconds=60)
# Points older than this when they are judged are told about too late.
LAG_SECONDS_MAX = 300.0

DATABASE = "database"
LOG = "log"
WORKER = "worker"
DELIVERY = "delivery"
STORAGE = "storage"


@dataclass(frozen=True)
class Component:
    """A part of the product, and whether it does what it is there for."""

    name: str
    is_ok: bool
    lag_seconds: float | None = None
    problem: str | None = None


def components(the_house: House) -> list[Component]:
    """Look at each part now. Does not raise: what cannot answer is not well.

    Opens a unit of work of its own.
    """
    beats: list[WorkerBeat] = []
    waits_since: datetime | None = None
    isolated = 0
    try:
        with the_house.database.unit_of_work(write=False):
            beats = list_worker_beats()
            waits_since = longest_due(now())
            isolated = count_isolated()
        is_database_ok = True
    except SQLAlchemyError:
        is_database_ok = False
    return [
        Component(DATABASE, is_ok=is_database_ok),
        Component(LOG, is_ok=_log_answers(the_house)),
        _worker(beats),
        _delivery(waits_since, is_known=is_database_ok),
        _storage(len(the_house.points.aside.all), isolated),
    ]


def _storage(set_aside: int, isolated: int) -> Component:
    """Say whether all that is stored can be read, and every metric judged."""
    problems = [
        f"{count} {what}"
        for count, what in (
            (set_aside, "stored pieces cannot be read and are set aside"),
            (isolated, "metrics are isolated after failures"),
        )
        if count
    ]
    problem = f"{' and '.join(problems)}; `anomify doctor` says which" if problems else None
    return Component(STORAGE, is_ok=problem is None, problem=problem)


def _log_answers(the_house: House) -> bool:
    try:
        the_house.points.log.last_offset()
    except (SQLAlchemyError, AnomifyError):
        return False
    return the_house.points.is_following


def _delivery(waits_since: datetime | None, *, is_known: bool) -> Component:
    if not is_known:
        return Component(DELIVERY, is_ok=False)
    lag = 0.0 if waits_since is None else max((now() - waits_since).total_seconds(), 0.0)
    return Component(DELIVERY, is_ok=lag <= LAG_SECONDS_MAX, lag_seconds=round(lag, 1))


def _worker(beats: list[WorkerBeat]) -> Component:
    living = [beat for beat in beats if now() - beat.beaten_at < BEAT_MISSING]
    if not living:
        return Component(WORKER, is_ok=False)
    lag = max(beat.lag_seconds for beat in living)
    return Component(WORKER, is_ok=lag <= LAG_SECONDS_MAX, lag_seconds=lag)
