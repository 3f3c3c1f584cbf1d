"""The progress rows of metrics after a tick or a rebuild."""

from collections.abc import Callable, Iterator

from anomify.clock import now_ms
from anomify.detection.state import EngineSummary
from anomify.metric.progress import Step
from anomify.metric.settings import Wanted
from anomify.pipeline.score import WaitTimes
from anomify.series import Int64s

# A metric whose newest point is at most this old when it comes is reporting now.
LIVE_MS = 3_600_000


def progress_steps(
    metric_ids: Int64s,
    summary: EngineSummary,
    wait_times: WaitTimes,
    settings_of: Callable[[int], Wanted],
) -> Iterator[Step]:
    """Yield the progress of each of the metrics; `summary` and `wait_times` have a row for each."""
    at_ms = now_ms()
    for place, metric_id in enumerate(metric_ids.tolist()):
        last_ms = int(summary.last_times[place])
        stale_after_ms = int(wait_times.stale_after_ms[place])
        may_be_silent = settings_of(metric_id).may_be_silent
        is_learnt = summary.seen[place] >= summary.needed[place]
        # History that is sent once has old points only, and no further ones are expected.
        is_live = at_ms - last_ms <= max(stale_after_ms, LIVE_MS)
        wait_ms = stale_after_ms + int(wait_times.lag_ms[place])
        is_expected = is_learnt and is_live and not may_be_silent
        yield Step(
            metric_id=metric_id,
            judged_until_ms=last_ms,
            points_seen=int(summary.seen[place]),
            last_value=float(summary.last_values[place]),
            resolution_ms=int(summary.resolution_ms[place]),
            is_counter=bool(summary.is_counter[place]),
            is_constant=bool(summary.is_constant[place]),
            has_ended=False,
            learning_points=int(summary.needed[place]),
            stale_after_ms=stale_after_ms,
            may_be_silent=may_be_silent,
            silent_from_ms=max(at_ms, last_ms) + wait_ms if is_expected else None,
            young_until_ms=int(summary.young_until_ms[place]),
        )
