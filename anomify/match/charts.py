"""Build the charts of matches: a metric's window with them, the pattern over it, a close-up."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from anomify.anomaly.charts import (
    UNKNOWN_STEP_MS,
    chart_of_metric,
    signed_address,
    step_of,
    window_around,
    window_of,
)
from anomify.anomaly.model import Anomaly
from anomify.clock import now, now_ms
from anomify.config import Settings
from anomify.errors import NotFound
from anomify.match.model import Match
from anomify.match.queries import list_matches
from anomify.match.wording import explanation_of, motif_notes
from anomify.metric.queries import get_metric_status
from anomify.metric.status import MetricStatus
from anomify.metric.store import PointStore
from anomify.org.model import Org
from anomify.pattern.points import judged_series
from anomify.pattern.queries import get_series
from anomify.rendering.chart import Chart, ChartLook, Mark, PatternCurve
from anomify.series import Float64s, Int64s
from anomify.storage.codec import decode_series

MOST_MARKS: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """The points of a pattern, moved so that it begins when the match did and at its level.

    `times` int64 (n,), unix milliseconds, and `values` float64 (n,).
    """

    times: Int64s
    values: Float64s


def chart_with_matches(
    org: Org,
    status: MetricStatus,
    points: PointStore,
    *,
    from_ms: int,
    until_ms: int,
    look: ChartLook,
) -> Chart:
    """Return the chart of a metric's window with its matches. Raises as `chart_of_metric`."""
    matches: tuple[Mark, ...] = ()
    if look.display_matches:
        found = list_matches(
            org.id,
            metric_id=status.metric.id,
            from_ms=from_ms,
            until_ms=until_ms,
            limit=MOST_MARKS,
        )
        matches = tuple(mark_of(match) for match in found.items)
    return chart_of_metric(
        org, status, points, from_ms=from_ms, until_ms=until_ms, look=look, matches=matches
    )


def chart_of_anomaly_with_matches(
    org: Org, anomaly: Anomaly, points: PointStore, *, look: ChartLook
) -> Chart:
    """Return the chart of an anomaly, as `chart_of_anomaly` does, with the matches around it."""
    status = get_metric_status(org.id, anomaly.span.metric.name, now())
    from_ms, until_ms = window_around(anomaly.span, step_of(status), now_ms())
    return chart_with_matches(org, status, points, from_ms=from_ms, until_ms=until_ms, look=look)


def chart_of_match(org: Org, match: Match, points: PointStore, *, look: ChartLook) -> Chart:
    """Return the chart of a match with its pattern over it; pattern and metric are loaded."""
    status = get_metric_status(org.id, match.metric.name, now())
    from_ms, until_ms = window_of(match.started_ms, match.last_ms, step_of(status), now_ms())
    chart = chart_with_matches(org, status, points, from_ms=from_ms, until_ms=until_ms, look=look)
    over = overlay_of(match, points, is_counter=_is_counter(status))
    return replace(
        chart,
        pattern=PatternCurve(over.times, over.values, f"Pattern {match.pattern_id}"),
        notes=(explanation_of(match, org.timezone),),
    )


def chart_of_motif(org: Org, match: Match, points: PointStore, *, look: ChartLook) -> Chart:
    """Return the chart of the compared part of a match; pattern and metric are loaded.

    Raises `NotFound` for a match that compared no shapes.
    """
    if match.motif_index is None or match.motif_size is None:
        raise NotFound("This match was found without comparing shapes, so it has no motif.")
    status = get_metric_status(org.id, match.metric.name, now())
    over = overlay_of(match, points, is_counter=_is_counter(status))
    part = slice(match.motif_index, match.motif_index + match.motif_size)
    times, values = over.times[part], over.values[part]
    step = step_of(status) or UNKNOWN_STEP_MS
    chart = chart_of_metric(
        org,
        status,
        points,
        from_ms=int(times[0]) if len(times) else match.started_ms,
        until_ms=int(times[-1]) + step if len(times) else match.last_ms + step,
        look=replace(look, display_anomalies=False, display_events=False),
    )
    return replace(
        chart,
        value_label="This time",
        pattern=PatternCurve(times, values, f"Pattern {match.pattern_id}"),
        notes=motif_notes(match),
    )


def overlay_of(match: Match, points: PointStore, *, is_counter: bool) -> Overlay:
    """Return the pattern's points over the match.

    The level of each is the median of the points before it, as many as the pattern has. Where one
    has none, the values are not moved.
    """
    pattern = match.pattern
    stored = get_series(pattern)
    excursion = decode_series(stored.excursion_points)
    times = np.asarray(excursion.times + match.started_ms - pattern.started_ms)
    first_ms = int(times[0]) if stored.context else match.started_ms
    before = judged_series(
        points.read(match.metric_id, first_ms, match.started_ms), is_counter=is_counter
    )
    shift = 0.0
    if len(before) and stored.context:
        then = float(np.nanmedian(excursion.values[: stored.context]))
        shift = float(np.nanmedian(before.values)) - then
    return Overlay(times, excursion.values + shift)


def _is_counter(status: MetricStatus) -> bool:
    return status.progress is not None and status.progress.is_counter


def mark_of(match: Match) -> Mark:
    """Return a match as it is drawn."""
    return Mark(match.started_ms, None if match.is_open else match.last_ms, match.score)


def match_image_url(settings: Settings, org: Org, match: Match) -> str:
    """Return a signed address of the picture of a match, which needs no sign-in."""
    return signed_address(settings, org, f"/match/{match.id}/graph", {})


def motif_image_url(settings: Settings, org: Org, match: Match) -> str | None:
    """Return a signed address of the close-up of a match; None where no shapes were compared."""
    if match.motif_index is None or match.motif_size is None:
        return None
    return signed_address(settings, org, f"/match/{match.id}/motif/graph", {})
