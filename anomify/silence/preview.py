"""What a silence holds back, or would: metrics it matches now, and their open anomalies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final

from anomify.anomaly.model import Anomaly
from anomify.anomaly.queries import MOST_ANOMALIES, Running, list_anomalies
from anomify.exclusion.queries import names_of
from anomify.org.daily_times import Occurrence
from anomify.silence.affected import NameParts, Predicate, affected_by
from anomify.silence.model import Silence

NAMES_SHOWN: Final = 20
ANOMALIES_SHOWN: Final = 20
OCCURRENCES_SHOWN: Final = 5
# How far ahead occurrences are looked for.
AHEAD: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class SilencePreview:
    """The effect of a silence."""

    metrics_matched: int
    # The first names, in alphabetical order.
    names: list[str]
    metrics_total: int
    # The ids of all open anomalies of these metrics.
    anomaly_ids: list[int]
    # The newest of them.
    anomalies: list[Anomaly]
    occurrences: list[Occurrence]


def preview_of(silence: Silence, at: datetime) -> SilencePreview:
    """Return the effect of a silence, stored or not."""
    predicate = affected_by(silence).predicate()
    total, hit = 0, []
    for _, name, _ in names_of(silence.org_id):
        total += 1
        if predicate(NameParts(name)):
            hit.append(name)
    ids, anomalies = _open_anomalies(silence.org_id, predicate)
    return SilencePreview(
        metrics_matched=len(hit),
        names=nsmallest(NAMES_SHOWN, hit),
        metrics_total=total,
        anomaly_ids=ids,
        anomalies=anomalies,
        occurrences=silence.schedule.following(at, OCCURRENCES_SHOWN, AHEAD),
    )


def count_matched(silence: Silence) -> int:
    """Count the metrics that the silence matches now."""
    predicate = affected_by(silence).predicate()
    return sum(predicate(NameParts(name)) for _, name, _ in names_of(silence.org_id))


def _open_anomalies(org_id: int, predicate: Predicate) -> tuple[list[int], list[Anomaly]]:
    matched: list[int] = []
    shown: list[Anomaly] = []
    for anomaly in _all_open(org_id):
        if predicate(NameParts(anomaly.span.metric.name)):
            matched.append(anomaly.id)
            if len(shown) < ANOMALIES_SHOWN:
                shown.append(anomaly)
    return matched, shown


def _all_open(org_id: int) -> Iterator[Anomaly]:
    offset = 0
    while True:
        found = list_anomalies(
            org_id, running=Running.OPEN, limit=MOST_ANOMALIES, offset=offset
        ).items
        yield from found
        if len(found) < MOST_ANOMALIES:
            return
        offset += len(found)
