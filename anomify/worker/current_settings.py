"""The settings that people have made for metrics, as the worker applies them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from anomify.clock import now
from anomify.db import Database
from anomify.metric.settings import AS_SHIPPED, Wanted, settings_since
from anomify.pipeline.announce import announcing
from anomify.pipeline.no_data import close_no_data_of
from anomify.pipeline.score import Scorer
from anomify.worker.metric_failures import MetricFailures
from anomify.worker.writing import write

# A change may be committed later than another one that was made after it.
OVERLAP = timedelta(minutes=1)


class CurrentSettings:
    """Holds the settings of each metric that has some, as of the last `reload`."""

    def __init__(self, database: Database, scorer: Scorer, failures: MetricFailures) -> None:
        """Start with the shipped settings for all metrics."""
        self._database = database
        self._scorer = scorer
        self._failures = failures
        self._settings: dict[int, Wanted] = {}
        self._read_at: datetime | None = None

    @property
    def by_metric(self) -> Mapping[int, Wanted]:
        """The settings by metric id; a metric that is missing has the shipped ones."""
        return self._settings

    def of(self, metric_id: int) -> Wanted:
        """Return the settings of a metric."""
        return self._settings.get(metric_id, AS_SHIPPED)

    def reload(self) -> None:
        """Apply what people have changed since the last call, from each metric's next point on."""
        with self._database.unit_of_work(write=False):
            self._failures.reload()
            since = None if self._read_at is None else self._read_at - OVERLAP
            read, self._read_at = settings_since(since)
        changed = {key: settings for key, settings in read.items() if self.of(key) != settings}
        for metric_id, settings in changed.items():
            self._settings[metric_id] = settings
            self._scorer.tune(metric_id, settings.tuning)
        may_be_silent = [
            metric_id for metric_id, settings in changed.items() if settings.may_be_silent
        ]
        if may_be_silent:
            write(
                self._database,
                partial(_close_no_data, may_be_silent),
                may_be_silent,
            )


def _close_no_data(metric_ids: list[int]) -> None:
    with announcing(now()) as notifier:
        close_no_data_of(metric_ids, notifier)
