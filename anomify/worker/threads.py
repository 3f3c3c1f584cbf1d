"""The worker's threads other than the one that judges: restarted on failure, and monitored."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from anomify.metric.store import PointStore

log = logging.getLogger(__name__)

# Pauses after the first, second ... failure, before the task of a thread starts again.
PAUSE_SECONDS = (1, 2, 5, 10, 30)
# A thread is healthy again when its last failure is so long ago. Longer than the pauses, so that
# one that fails each time is never healthy; shorter than the time after which a missing heartbeat
# is a problem, so that a single failure is not reported.
HEALTHY_AFTER_SECONDS = 45.0


class WorkerThread:
    """Runs one task in a thread of its own, until it is asked to stop."""

    def __init__(
        self,
        name: str,
        task: Callable[[threading.Event], None],
        stopping: threading.Event,
        pause_seconds: Sequence[float] = PAUSE_SECONDS,
    ) -> None:
        """Prepare the thread; `task` must return when the event is set, and not before."""
        self.name = name
        self._task = task
        self._stopping = stopping
        self._pause_seconds = pause_seconds
        self._failed_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait at most this long until the thread has ended."""
        self._thread.join(timeout=seconds)

    @property
    def is_alive(self) -> bool:
        """Return whether the thread is running."""
        return self._thread.is_alive()

    @property
    def is_healthy(self) -> bool:
        """Return whether the thread is running and has not failed recently."""
        failed_at = self._failed_at
        is_over = failed_at is None or time.monotonic() - failed_at > HEALTHY_AFTER_SECONDS
        return self.is_alive and is_over

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._task(self._stopping)
            except Exception:
                log.exception("the thread %s failed; restarting its task soon", self.name)
            else:
                if self._stopping.is_set():
                    return
                log.error("the thread %s ended by itself; restarting its task soon", self.name)
            self._failed_at = time.monotonic()
            if self._failed_at - began > HEALTHY_AFTER_SECONDS:
                failures = 0
            pause = self._pause_seconds[min(failures, len(self._pause_seconds) - 1)]
            self._stopping.wait(pause)
            failures += 1


class WorkerThreads:
    """All threads of the worker, and the thread of `points` that follows the log."""

    def __init__(
        self, threads: Sequence[WorkerThread], points: PointStore, stopping: threading.Event
    ) -> None:
        """Take threads that are not started yet."""
        self._threads = threads
        self._points = points
        self._stopping = stopping
        self.has_lost_one = False

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait at most this long for each thread to end."""
        for thread in self._threads:
            thread.join(seconds)

    @property
    def are_healthy(self) -> bool:
        """Return whether every thread is healthy; without that there is no heartbeat."""
        return self._points.is_following and all(thread.is_healthy for thread in self._threads)

    def check(self) -> None:
        """Stop the worker if a thread has died, so that its supervisor restarts the process."""
        gone = [thread.name for thread in self._threads if not thread.is_alive]
        if gone and not self._stopping.is_set():
            log.critical(
                "the thread %s has died; ending this process so that it is restarted", gone[0]
            )
            self.has_lost_one = True
            self._stopping.set()
