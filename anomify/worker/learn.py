"""The thread that makes waiting patterns, completes growing ones and proposes new ones."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from anomify.clock import now
from anomify.db import Database
from anomify.match.growing import grow, list_growing
from anomify.metric.store import PointStore
from anomify.pattern.learning import (
    Alike,
    find_hidden_since,
    find_proposal,
    list_learnt,
    list_recurring_metrics,
    propose,
    review,
)
from anomify.pattern.model import PatternState
from anomify.pattern.waiting_training import (
    claim_training,
    complete_training,
    fail_training,
    is_training_due,
)
from anomify.storage.errors import Damaged

log = logging.getLogger(__name__)

LEARN_EVERY_SECONDS: Final = 5.0
# Recurring anomalies are looked for in this interval; each look takes at most the time below.
PROPOSE_EVERY_SECONDS: Final = 600.0
PROPOSING_SECONDS: Final = 30.0
# Before that, the patterns that the product has found are reviewed for this long.
REVIEWING_SECONDS: Final = 30.0


class PatternLearner:
    """Works on patterns beside the thread that judges; the points are read as in a web process."""

    def __init__(
        self, database: Database, points: PointStore, clock: Callable[[], datetime] = now
    ) -> None:
        """Take where rows and points are."""
        self._database = database
        self._points = points
        self._clock = clock
        self._proposes_at = 0.0
        self._last_reviewed = 0

    def run_until(self, stopping: threading.Event) -> None:
        """Work until the event is set."""
        while not stopping.wait(LEARN_EVERY_SECONDS):
            self.complete_trainings()
            self.grow_patterns()
            if time.monotonic() >= self._proposes_at:
                self.propose()
                self._proposes_at = time.monotonic() + PROPOSE_EVERY_SECONDS

    def complete_trainings(self) -> int:
        """Make the patterns that are due; return how many trainings were worked on."""
        count = 0
        while True:
            with self._database.unit_of_work(write=False):
                # Read first: there is seldom one, and a write transaction blocks others.
                if not is_training_due(self._clock()):
                    return count
            with self._database.unit_of_work():
                claimed = claim_training(self._clock())
            if claimed is None or claimed.leased_until is None:
                return count
            count += 1
            self._points.follow()
            try:
                with self._database.unit_of_work():
                    complete_training(claimed.id, claimed.leased_until, self._points, self._clock())
            except Exception as problem:
                # One that fails must not stop the others: the reason is stored with it.
                log.exception("the training %d failed", claimed.id)
                why = f"{type(problem).__name__}: {problem}"
                with self._database.unit_of_work():
                    fail_training(claimed.id, claimed.leased_until, why, self._clock())

    def grow_patterns(self) -> int:
        """Complete the patterns whose excursion has ended since; return how many."""
        with self._database.unit_of_work(write=False):
            growing = list_growing()
        if not growing:
            return 0
        self._points.follow()
        grown = 0
        for pattern_id in growing:
            # The others still hold; `anomify doctor` checks the database.
            with suppress(Damaged), self._database.unit_of_work():
                grown += grow(pattern_id, self._points, self._clock())
        return grown

    def propose(self) -> int:
        """Review the learnt patterns and propose ones of recurring anomalies; return how many.

        Metrics and patterns beyond the time that one look may take are left to the next one.
        """
        self._points.follow()
        self._review()
        began = time.monotonic()
        proposed = 0
        with self._database.unit_of_work(write=False):
            recurring = list_recurring_metrics(self._clock())
        for metric_id in recurring:
            if time.monotonic() - began > PROPOSING_SECONDS:
                break
            with self._database.unit_of_work(write=False):
                proposal = find_proposal(metric_id, self._points, self._clock())
            if proposal is None:
                continue
            with self._database.unit_of_work():
                proposed += propose(proposal, self._points, self._clock()) is not None
        return proposed

    def _review(self) -> None:
        """Review the learnt patterns, the one after the last reviewed one first."""
        began = time.monotonic()
        with self._database.unit_of_work(write=False):
            learnt = list_learnt((PatternState.PROPOSED, PatternState.ACTIVE))
        for pattern_id in sorted(learnt, key=lambda one: (one <= self._last_reviewed, one)):
            hidden: list[Alike] = []
            with suppress(Damaged), self._database.unit_of_work(write=False):
                hidden = find_hidden_since(pattern_id, self._points)
            with self._database.unit_of_work():
                review(pattern_id, hidden, self._clock())
            self._last_reviewed = pattern_id
            if time.monotonic() - began > REVIEWING_SECONDS:
                break
