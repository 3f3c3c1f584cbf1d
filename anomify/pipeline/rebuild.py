"""Record a metric's anomalies again after its whole past was judged again."""

from collections.abc import Iterable

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.recording import (
    RecordedSpan,
    close_anomaly,
    closing_after_ms,
    delete_untouched,
    list_recorded_spans,
    not_found_again,
    restore_recorded,
)
from anomify.delivery.queries import notified_among
from anomify.pipeline.announce import Notifier
from anomify.pipeline.record import Opened, record
from anomify.pipeline.rejudge import Rejudged


def record_rebuild(metric_id: int, rejudged: Rejudged, notifier: Notifier) -> None:
    """Bring a metric's recorded anomalies in line with the verdicts on its whole past.

    An anomaly that is found again keeps its id and what people did with it. One that is not found
    again is deleted, if its time was judged again; unless people have touched it or received a
    message about it: then it is kept and closed, and those who received the message get a recovery.

    What was judged by a past that retention has deleted cannot be judged as well again: such an
    anomaly is neither deleted nor given another severity, as long as its point has the same value.
    What was found is announced after that, as it is at the end.
    """
    if rejudged.judged_from_ms is None:
        return
    protected = _found_by_deleted_past(metric_id, rejudged)
    closing_ms = closing_after_ms(int(rejudged.summary.resolution_ms[0]))
    changes = record(rejudged.point_verdicts, metric_id, None, closing_ms)
    spans = [change.span for change in changes if isinstance(change, Opened)]
    for span in spans:
        if span.anomaly_id in protected:
            restore_recorded(span, protected[span.anomaly_id])
    for span in spans:
        notifier.opened(span)
        if not span.is_open:
            notifier.recovered(span)
    # What was found in points that are deleted since cannot be found again.
    found = {span.anomaly_id for span in spans}
    lost = not_found_again(metric_id, rejudged.judged_from_ms, found)
    notified = notified_among([span.anomaly_id for span in lost])
    for span in lost:
        if span.is_open:
            close_anomaly(span)
            notifier.recovered(span)
    delete_untouched(
        span.anomaly_id
        for span in lost
        if span.anomaly_id not in notified
        and (span.anomaly_id not in protected or _is_within(span, spans))
    )


def _found_by_deleted_past(metric_id: int, rejudged: Rejudged) -> dict[int, RecordedSpan]:
    """Return what is recorded of the anomalies that were found by points deleted since, by id.

    Left out are those whose own point was judged again with another value, or as of another kind:
    for these the new verdict is the better one.
    """
    if rejudged.judged_from_ms is None or rejudged.short_past_until_ms is None:
        return {}
    recorded = list_recorded_spans(metric_id, rejudged.judged_from_ms, rejudged.short_past_until_ms)
    return {
        each.anomaly_id: each
        for each in recorded
        if each.peak.time_ms < rejudged.judged_from_ms
        or np.isclose(rejudged.values_at.get(each.peak.time_ms, np.nan), each.peak.value, rtol=1e-6)
    }


def _is_within(span: Span, others: Iterable[Span]) -> bool:
    return any(
        other.started_ms <= span.started_ms and span.last_over_ms <= other.last_over_ms
        for other in others
    )
