"""Generated test metrics with two weeks of data, for an org that has no metrics yet."""

from typing import Final

import numpy as np

from anomify.detection.generated_values import DAY_SECONDS
from anomify.detection.generator import generate
from anomify.metric.registry import Registry
from anomify.metric.store import PointStore
from anomify.series import Points
from anomify.storage.log import Entry

SEED: Final = 20_261_121
DAYS: Final = 14
STEP_SECONDS: Final = 300
# Marks them, so that they can be found again and deleted.
PREFIX: Final = "example."


def fill_with_samples(
    org_id: int, registry: Registry, points: PointStore, now_ms: int
) -> list[str]:
    """Give the org a metric of each kind, with a past that is judged as history; return the names.

    Doing it again changes nothing. No unit of work may be open. Raises `Unavailable` where the
    points cannot be kept now.
    """
    step_ms = STEP_SECONDS * 1000
    start_ms = now_ms // step_ms * step_ms - int(DAYS * DAY_SECONDS) * 1000
    made = generate(SEED, start_ms, STEP_SECONDS, days=DAYS)
    names = {f"{PREFIX}{metric.name}".encode(): f"{PREFIX}{metric.name}" for metric in made}
    ids = registry.register(org_id, names).ids
    for metric in made:
        metric_id = ids.get(f"{PREFIX}{metric.name}".encode())
        if metric_id is not None:
            rows = Points(
                np.full(len(metric.times), metric_id, np.int64), metric.times, metric.values
            )
            points.append(Entry(rows, Points.empty(), is_backfill=True))
    return [names[key] for key in names if key in ids]
