"""The worker's threads beside the one that judges: started again when they fail, and watched."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from anomify.metric.store import PointStore

log = logging.getLogger(__name__)

# After a failure a thread begins again, soon at first and then less often.
PAUSE_SECONDS = (1, 2, 5, 10, 30)
# One that has worked for so long since its last failure is well again. Longer than the pauses, so
# that one that fails each time is never well; shorter than what makes a missing beat a problem,
# so that a single failure turns nothing red.
WELL_AFTER_SECONDS = 45.0


class DutyThread:
    """One duty in a thread of its own, until told to stop."""

    def __init__(
        self,
        name: str,
        task: Callable[[threading.Event], None],
        stopping: threading.Event,
        pause_seconds: Sequence[float] = PAUSE_SECONDS,
    ) -> None:
        """Take what to do: it returns when it is told to stop, and not before."""
        self.name = name
        self._duty = task
        self._stopping = stopping
        self._pause_seconds = pause_seconds
        self._failed_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it has stopped, but no longer than this."""
        self._thread.join(timeout=seconds)

    @property
    def is_alive(self) -> bool:
        """Return whether the thread is there at all."""
        return self._thread.is_alive()

    @property
    def is_well(self) -> bool:
        """Return whether it is there and has not failed of late."""
        failed_at = self._failed_at
        is_over = failed_at is None or time.monotonic() - failed_at > WELL_AFTER_SECONDS
        return self.is_alive and is_over

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._duty(self._stopping)
            except Exception:
                log.exception("the thread %s failed; it begins again in a while", self.name)
            else:
                if self._stopping.is_set():
                    return
                log.error("the thread %s ended by itself; it begins again in a while", self.name)
            self._failed_at = time.monotonic()
            if self._failed_at - began > WELL_AFTER_SECONDS:
                failures = 0
            pause = self._pause_seconds[min(failures, len(self._pause_seconds) - 1)]
            self._stopping.wait(pause)
            failures += 1


class DutyThreads:
    """All of them, and the one that follows the log of points."""

    def __init__(
        self, threads: Sequence[DutyThread], points: PointStore, stopping: threading.Event
    ) -> None:
        """Take threads that are not started yet."""
        self._threads = threads
        self._points = points
        self._stopping = stopping
        self.has_lost_one = False

    def start(self) -> None:
        """Start all."""
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait for each until it has stopped, but no longer than this."""
        for thread in self._threads:
            thread.join(seconds)

    @property
    def are_well(self) -> bool:
        """Return whether every thread does its duty; the worker shows no sign of life otherwise."""
        return self._points.is_following and all(thread.is_well for thread in self._threads)

    def check(self) -> None:
        """Ask the worker to stop when a thread is gone: whoever supervises it starts it again."""
        gone = [thread.name for thread in self._threads if not thread.is_alive]
        if gone and not self._stopping.is_set():
            log.critical("the thread %s is gone; this process ends to be started again", gone[0])
            self.has_lost_one = True
            self._stopping.set()
