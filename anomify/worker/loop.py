"""The worker's day: judge, rebuild, sweep, keep and deliver; stop politely when asked."""

import itertools
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from anomify.billing.stripe_gateway import gateway_of
from anomify.clock import now
from anomify.config import Settings
from anomify.db import Database
from anomify.errors import Unavailable
from anomify.metric.failing import NOT_OF_ONE_METRIC
from anomify.metric.mixed import refuse_mixed
from anomify.metric.opening import open_points
from anomify.metric.state import PARTITIONS
from anomify.metric.store import PointStore
from anomify.org.beat import record_beat
from anomify.org.sealing import ROWS_PURPOSE
from anomify.worker.analyse import Analyst
from anomify.worker.bill import Bookkeeper
from anomify.worker.count import Teller
from anomify.worker.deliver import Deliverer
from anomify.worker.ownership import STANDBY_SECONDS, Ownership, OwnershipLost, worker_name
from anomify.worker.picture import picture_with
from anomify.worker.post import Postman
from anomify.worker.rebuild import rebuild_one
from anomify.worker.sweep import sweep
from anomify.worker.threads import DutyThread, DutyThreads
from anomify.worker.watchman import Watchman

log = logging.getLogger(__name__)

# How long the worker sleeps when the log holds nothing new.
IDLE_SECONDS = 0.5
# Every partition is sealed and its state kept once in this time, one after the other.
CHECKPOINT_ROUND_SECONDS = 900
# New metrics do not wait for their turn in the round, as long as that takes no more of the time.
NEW_STATES_EVERY_SECONDS = 1
NEW_STATES_SHARE = 0.05
SILENCE_EVERY_SECONDS = 5
SUPPLY_EVERY_SECONDS = 15
COUNT_EVERY_SECONDS = 5
SUPPLY_LAG_SECONDS = 15.0
SETTINGS_EVERY_SECONDS = 1
OWNERSHIP_EVERY_SECONDS = 1
BEAT_EVERY_SECONDS = 5
SWEEP_EVERY_SECONDS = 60
DROP_EVERY_SECONDS = 5
# A rebuild is done at once where nothing waits, and else so often, if nothing waits for long.
REBUILD_EVERY_SECONDS = 1
REBUILD_LAG_SECONDS = 5.0
# A message on its way when we are asked to stop has its own deadline, shorter than this.
STOP_SECONDS = 20
# After trouble the worker starts over from what is kept, soon at first and then less often.
TROUBLE_SECONDS = (1, 2, 5, 10, 30)
TROUBLE_FORGOTTEN_SECONDS = 300


@dataclass(slots=True)
class Duty:
    """Something to do again and again, so often."""

    every_seconds: float
    act: Callable[[], object]
    due: float = 0.0

    def act_if_due(self) -> None:
        """Do it if its time has come."""
        moment = time.monotonic()
        if moment >= self.due:
            self.due = moment + self.every_seconds
            self.act()


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT asks to stop; then keep what was learnt, and return."""
    settings = settings.with_secret_key()
    logging.basicConfig(level=settings.log_level.upper())
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    database = Database(settings.meta_url)
    database.sealing_key = settings.key_for(ROWS_PURPOSE)
    points = open_points(database, settings.data_dir)
    refuse_mixed(database, points)
    deliverer = Deliverer(database, settings, picture_with(database, points))
    duties: list[tuple[str, Callable[[threading.Event], None]]] = [
        ("deliver", deliverer.run_until),
        ("post", Postman(database, settings).run_until),
    ]
    if gateway := gateway_of(settings):
        duties.append(("bill", Bookkeeper(database, settings, gateway).run_until))
    threads = DutyThreads(
        [DutyThread(name, duty, stopping) for name, duty in duties], points, stopping
    )
    threads.start()
    judge_until(stopping, database, points, settings, threads)
    threads.join(STOP_SECONDS)
    points.close()
    database.dispose()
    if threads.has_lost_one:
        raise Unavailable("A thread of the worker was gone; start the worker again.")


def judge_until(
    stopping: threading.Event,
    database: Database,
    points: PointStore,
    settings: Settings,
    threads: DutyThreads | None = None,
) -> None:
    """Judge until told to stop; whatever goes wrong, start over from what is kept.

    Every transaction that writes on this thread is fenced: none of them changes anything once
    another worker has taken over.
    """
    failures = 0
    is_careful = False
    ownership = Ownership(database, settings.data_dir)
    fenced = database.fenced(ownership.fence)
    chunks = points.chunks.fenced(ownership.fence_points)
    while not stopping.is_set():
        began = time.monotonic()
        try:
            with ownership.held(stopping) as is_ours:
                if not is_ours:
                    return
                analyst = Analyst(fenced, points.log, chunks, is_careful=is_careful)
                if not analyst.recover(stopping.is_set):
                    return
                _judge(stopping, analyst, ownership, fenced, points, settings, threads)
                analyst.checkpoint(range(PARTITIONS))
        except OwnershipLost as lost:
            log.warning("%s; standing by", lost)
            stopping.wait(STANDBY_SECONDS)
        except Exception as problem:
            # The next one finds out which metric it is, if it is one.
            is_careful = not isinstance(problem, NOT_OF_ONE_METRIC)
            # The engine's memory may be ahead of what is recorded now, so it is thrown away.
            log.exception("judging failed; starting over from the last checkpoint")
            if time.monotonic() - began > TROUBLE_FORGOTTEN_SECONDS:
                failures = 0
            stopping.wait(TROUBLE_SECONDS[min(failures, len(TROUBLE_SECONDS) - 1)])
            failures += 1


def beside(what: str, act: Callable[[], object]) -> Callable[[], None]:
    """Return the duty with its failures logged only: nothing is lost by doing it later.

    Were they raised, all that judging remembers would be thrown away. That another worker has
    taken over is no failure of theirs, and is raised.
    """

    def act_beside() -> None:
        try:
            act()
        except OwnershipLost:
            raise
        except Exception:
            log.exception("%s failed; trying again in a while", what)

    return act_beside


def _judge(
    stopping: threading.Event,
    analyst: Analyst,
    ownership: Ownership,
    database: Database,
    points: PointStore,
    settings: Settings,
    threads: DutyThreads | None,
) -> None:
    partitions = itertools.cycle(range(PARTITIONS))
    name = worker_name()

    def beat() -> None:
        if threads is not None and not threads.are_well:
            # Without a beat the health of the worker turns red.
            return
        lag_seconds = analyst.lag_seconds()
        with database.unit_of_work():
            record_beat(name, now(), log_offset=analyst.through_offset, lag_seconds=lag_seconds)

    teller = Teller(database, points)
    watchman = Watchman(database, settings.base_url)

    def look_at_supply() -> None:
        # What waits in the log has been reported, so whoever sent it is not silent.
        if analyst.lag_seconds() <= SUPPLY_LAG_SECONDS:
            watchman.look()

    def rebuild_between_ticks() -> None:
        # Points come without a pause, and yet judging keeps up: what is late is judged as well.
        if analyst.lag_seconds() <= REBUILD_LAG_SECONDS:
            rebuild_one(database, analyst)

    duties = (
        Duty(OWNERSHIP_EVERY_SECONDS, ownership.check),
        Duty(BEAT_EVERY_SECONDS, beat),
        *([Duty(BEAT_EVERY_SECONDS, threads.check)] if threads is not None else []),
        Duty(SETTINGS_EVERY_SECONDS, analyst.take_settings),
        Duty(SILENCE_EVERY_SECONDS, analyst.look_for_silence),
        Duty(SUPPLY_EVERY_SECONDS, beside("warning admins", look_at_supply)),
        Duty(COUNT_EVERY_SECONDS, beside("storing counts of pages", teller.run_once)),
        Duty(SWEEP_EVERY_SECONDS, beside("tidying", lambda: sweep(database, points, settings))),
        Duty(DROP_EVERY_SECONDS, analyst.drop_deleted),
        Duty(REBUILD_EVERY_SECONDS, rebuild_between_ticks),
        Duty(NEW_STATES_EVERY_SECONDS, _NewStates(analyst).keep),
        Duty(
            CHECKPOINT_ROUND_SECONDS / PARTITIONS,
            lambda: analyst.checkpoint([next(partitions)]),
        ),
    )
    while not stopping.is_set():
        judged = analyst.run_once()
        for duty in duties:
            duty.act_if_due()
        if not judged and not rebuild_one(database, analyst):
            stopping.wait(IDLE_SECONDS)


class _NewStates:
    """Keeps what was learnt of new metrics soon, so that their forecasts need not wait."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        self._rest_until = time.monotonic()

    def keep(self) -> None:
        began = time.monotonic()
        if began < self._rest_until or not self._analyst.keep_new_states():
            return
        ended = time.monotonic()
        self._rest_until = ended + (ended - began) / NEW_STATES_SHARE
