"""Counts the metrics that are learnt again because another version has stored their states."""

import logging
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS: Final = 10.0


class Relearning:
    """How many metrics of how many have been learnt again since the worker started.

    `total` and `done` are 0 before, and again once all are learnt.
    """

    def __init__(self) -> None:
        """Start with none to learn."""
        self.total = 0
        self.done = 0
        self._began = self._logged = 0.0
        self._is_stopping: Callable[[], bool] = lambda: False
        self._report: Callable[[], None] = lambda: None

    def begin(
        self, total: int, is_stopping: Callable[[], bool], report: Callable[[], None]
    ) -> None:
        """Expect so many metrics; call `report` after each, and end early if `is_stopping`."""
        self.total, self.done = total, 0
        self._is_stopping, self._report = is_stopping, report
        self._began = self._logged = time.monotonic()
        if total:
            log.warning(
                "learning %s metrics again from their points: their states are of another version "
                "of the engine; new points are judged after that",
                f"{total:,}",
            )

    def expect(self, count: int) -> None:
        """Expect more metrics: their stored states are damaged."""
        self.total += count

    @property
    def must_stop(self) -> bool:
        """Return whether the worker has been asked to stop."""
        return self._is_stopping()

    def note(self) -> None:
        """Note that one metric more has been learnt."""
        self.done = min(self.done + 1, self.total)
        self._report()
        moment = time.monotonic()
        if self.done < self.total and moment - self._logged >= LOG_EVERY_SECONDS:
            self._logged = moment
            log.info("learning the metrics again: %s of %s", f"{self.done:,}", f"{self.total:,}")

    def end(self) -> None:
        """Note that all states are loaded; from now on nothing is counted."""
        if self.total:
            seconds = time.monotonic() - self._began
            log.info("learnt %s metrics again in %.0f seconds", f"{self.total:,}", seconds)
        self.total = self.done = 0
        self._is_stopping, self._report = lambda: False, lambda: None
