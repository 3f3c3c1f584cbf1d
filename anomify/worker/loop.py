"""The worker process: judge points and run the periodic tasks until asked to stop."""

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
from anomify.metric.failing import is_of_one_metric
from anomify.metric.mixed import refuse_mixed
from anomify.metric.open_store import open_points
from anomify.metric.state import PARTITIONS
from anomify.metric.store import PointStore
from anomify.org.heartbeat import record_heartbeat
from anomify.org.sealing import ROWS_PURPOSE
from anomify.worker.admin_alerts import AdminAlertMonitor
from anomify.worker.analyse import Analyser
from anomify.worker.billing_sync import BillingSync
from anomify.worker.deliver import Deliverer
from anomify.worker.learn import PatternLearner
from anomify.worker.letters import LetterSender
from anomify.worker.notify import DueNotifier
from anomify.worker.ownership import STANDBY_SECONDS, Ownership, OwnershipLost, worker_name
from anomify.worker.page_event_counts import PageEventWriter
from anomify.worker.picture import picture_with
from anomify.worker.rebuild import rebuild_one
from anomify.worker.reports import ReportSender
from anomify.worker.sweep import sweep
from anomify.worker.threads import WorkerThread, WorkerThreads

log = logging.getLogger(__name__)

# How long the worker sleeps when the log holds nothing new.
IDLE_SECONDS = 0.5
# Within this time each partition is sealed and its states are kept, one partition after the other.
CHECKPOINT_ROUND_SECONDS = 900
# Metrics that have just learnt enough are kept earlier, for at most this share of the time.
NEW_STATES_EVERY_SECONDS = 1
NEW_STATES_SHARE = 0.05
NO_DATA_EVERY_SECONDS = 5
ADMIN_ALERTS_EVERY_SECONDS = 15
PAGE_EVENTS_EVERY_SECONDS = 5
ADMIN_ALERTS_LAG_SECONDS = 15.0
SETTINGS_EVERY_SECONDS = 1
OWNERSHIP_EVERY_SECONDS = 1
HEARTBEAT_EVERY_SECONDS = 5
SWEEP_EVERY_SECONDS = 60
DROP_EVERY_SECONDS = 5
# A rebuild is done at once when the log holds nothing new, and otherwise in this interval, unless
# points wait in the log for longer than the lag.
REBUILD_EVERY_SECONDS = 1
REBUILD_LAG_SECONDS = 5.0
# How long to wait for the other threads at the end; a message being sent has a shorter deadline.
STOP_SECONDS = 20
# Pauses after the first, second ... failure, before judging starts again from the checkpoints.
RESTART_PAUSE_SECONDS = (1, 2, 5, 10, 30)
FAILURES_RESET_SECONDS = 300


@dataclass(slots=True)
class PeriodicTask:
    """A function to call in an interval of `every_seconds`."""

    every_seconds: float
    act: Callable[[], object]
    due: float = 0.0

    def act_if_due(self) -> None:
        """Call the function if the interval has passed since the last call."""
        moment = time.monotonic()
        if moment >= self.due:
            self.due = moment + self.every_seconds
            self.act()


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then keep the states of all metrics, and return."""
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
    tasks: list[tuple[str, Callable[[threading.Event], None]]] = [
        ("deliver", deliverer.run_until),
        ("notify", DueNotifier(database).run_until),
        ("letters", LetterSender(database, settings).run_until),
        ("reports", ReportSender(database, settings).run_until),
        ("learn", PatternLearner(database, points).run_until),
    ]
    if gateway := gateway_of(settings):
        tasks.append(("billing", BillingSync(database, settings, gateway).run_until))
    threads = WorkerThreads(
        [WorkerThread(name, task, stopping) for name, task in tasks], points, stopping
    )
    threads.start()
    judge_until(stopping, database, points, settings, threads)
    threads.join(STOP_SECONDS)
    points.close()
    database.dispose()
    if threads.has_lost_one:
        raise Unavailable("A thread of the worker has died; start the worker again.")


def judge_until(
    stopping: threading.Event,
    database: Database,
    points: PointStore,
    settings: Settings,
    threads: WorkerThreads | None = None,
) -> None:
    """Judge until `stopping` is set; after any failure start again from the checkpoints.

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
                analyser = Analyser(fenced, points.log, chunks, is_careful=is_careful)
                heartbeat = _Heartbeat(analyser, fenced, threads)
                # Read now, because it looks for the last heartbeat of the worker before.
                admin_alert_monitor = AdminAlertMonitor(fenced, settings.base_url)
                if not analyser.recover(stopping.is_set, heartbeat.task.act_if_due):
                    return
                _judge(
                    stopping,
                    analyser,
                    ownership,
                    fenced,
                    points,
                    settings,
                    threads,
                    heartbeat,
                    admin_alert_monitor,
                )
                analyser.checkpoint(range(PARTITIONS))
        except OwnershipLost as lost:
            log.warning("%s; waiting to take over again", lost)
            stopping.wait(STANDBY_SECONDS)
        except Exception as problem:
            # The next analyser finds out which metric fails, if it is a single one.
            is_careful = is_of_one_metric(problem)
            # The loaded states may be ahead of what is recorded, so they are dropped.
            log.exception("judging failed; starting over from the last checkpoint")
            if time.monotonic() - began > FAILURES_RESET_SECONDS:
                failures = 0
            stopping.wait(RESTART_PAUSE_SECONDS[min(failures, len(RESTART_PAUSE_SECONDS) - 1)])
            failures += 1


def logging_failures(what: str, act: Callable[[], object]) -> Callable[[], None]:
    """Return a function that calls `act` and only logs its failures: it is called again later.

    If they were raised, the states in memory would be dropped. `OwnershipLost` is raised: another
    worker has taken over.
    """

    def act_and_log() -> None:
        try:
            act()
        except OwnershipLost:
            raise
        except Exception:
            log.exception("%s failed; trying again in a while", what)

    return act_and_log


def _judge(
    stopping: threading.Event,
    analyser: Analyser,
    ownership: Ownership,
    database: Database,
    points: PointStore,
    settings: Settings,
    threads: WorkerThreads | None,
    heartbeat: "_Heartbeat",
    admin_alert_monitor: AdminAlertMonitor,
) -> None:
    partitions = itertools.cycle(range(PARTITIONS))
    page_event_writer = PageEventWriter(database, points)

    def update_admin_alerts() -> None:
        # Metrics whose points wait in the log have reported.
        if analyser.lag_seconds() <= ADMIN_ALERTS_LAG_SECONDS:
            admin_alert_monitor.run_once()

    def rebuild_between_ticks() -> None:
        # Points come without a pause, but the lag is small: there is time for a rebuild.
        if analyser.lag_seconds() <= REBUILD_LAG_SECONDS:
            rebuild_one(database, analyser)

    tasks = (
        PeriodicTask(OWNERSHIP_EVERY_SECONDS, ownership.check),
        heartbeat.task,
        *([PeriodicTask(HEARTBEAT_EVERY_SECONDS, threads.check)] if threads is not None else []),
        PeriodicTask(SETTINGS_EVERY_SECONDS, analyser.reload_settings),
        PeriodicTask(NO_DATA_EVERY_SECONDS, analyser.find_metrics_without_data),
        PeriodicTask(
            ADMIN_ALERTS_EVERY_SECONDS, logging_failures("warning admins", update_admin_alerts)
        ),
        PeriodicTask(
            PAGE_EVENTS_EVERY_SECONDS,
            logging_failures("storing counts of pages", page_event_writer.run_once),
        ),
        PeriodicTask(
            SWEEP_EVERY_SECONDS,
            logging_failures("tidying", lambda: sweep(database, points, settings)),
        ),
        PeriodicTask(DROP_EVERY_SECONDS, analyser.drop_deleted),
        PeriodicTask(REBUILD_EVERY_SECONDS, rebuild_between_ticks),
        PeriodicTask(NEW_STATES_EVERY_SECONDS, _NewStates(analyser).keep),
        PeriodicTask(
            CHECKPOINT_ROUND_SECONDS / PARTITIONS,
            lambda: analyser.checkpoint([next(partitions)]),
        ),
    )
    while not stopping.is_set():
        judged = analyser.run_once()
        for task in tasks:
            task.act_if_due()
        if not judged and not rebuild_one(database, analyser):
            stopping.wait(IDLE_SECONDS)


class _Heartbeat:
    """Records heartbeats, while states are loaded and while points are judged."""

    def __init__(
        self, analyser: Analyser, database: Database, threads: WorkerThreads | None
    ) -> None:
        """Record the first one at the next call of the task."""
        self._analyser = analyser
        self._database = database
        self._threads = threads
        self._name = worker_name()
        self.task = PeriodicTask(HEARTBEAT_EVERY_SECONDS, self._record)

    def _record(self) -> None:
        if self._threads is not None and not self._threads.are_healthy:
            # Without a heartbeat the worker is reported as unhealthy.
            return
        lag_seconds = self._analyser.lag_seconds()
        relearning = self._analyser.relearning
        with self._database.unit_of_work():
            record_heartbeat(
                self._name,
                now(),
                log_offset=self._analyser.through_offset,
                lag_seconds=lag_seconds,
                learnt_again=relearning.done,
                to_learn_again=relearning.total,
            )


class _NewStates:
    """Keeps the states of metrics that have just learnt enough, within a share of the time."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self._rest_until = time.monotonic()

    def keep(self) -> None:
        began = time.monotonic()
        if began < self._rest_until or not self._analyser.keep_new_states():
            return
        ended = time.monotonic()
        self._rest_until = ended + (ended - began) / NEW_STATES_SHARE
