"""The story: look at the fresh verdicts of many metrics at once, and act on what is unusual."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from anomify.anomaly.model import Span
from anomify.anomaly.queries import open_spans
from anomify.anomaly.recording import (
    Observation,
    close_anomaly,
    closing_after_ms,
    extend_anomaly,
    open_anomaly,
)
from anomify.detection.detector import Verdicts
from anomify.detection.evidence import Evidence
from anomify.detection.explanation import explain
from anomify.detection.threshold import Severity, severity_of
from anomify.metric.queries import metric_of_any_org
from anomify.metric.settings import AS_SHIPPED, Wanted
from anomify.pipeline.announce import Notifier
from anomify.pipeline.score import Scored
from anomify.pipeline.silence import break_silence
from anomify.series import Int64s

NOTHING_WANTED: Mapping[int, Wanted] = {}


@dataclass(frozen=True, slots=True)
class PointVerdict:
    """One judged point of one metric, as the story needs it."""

    time_ms: int
    alert: float
    strength: float
    score: float
    value: float
    lower: float
    upper: float
    evidence: Evidence
    # What the sentence about it names beside value and range; NaN where there is nothing.
    amount: float
    # An alert below this opens nothing; a strength below it does not keep an anomaly open.
    least_alert: float
    unit: str

    @property
    def opens(self) -> bool:
        """Return whether an anomaly begins here when none is open."""
        return self.alert >= self.least_alert

    @property
    def holds(self) -> bool:
        """Return whether an open anomaly goes on here."""
        return self.strength >= self.least_alert

    def observation(self) -> Observation:
        """Return what is recorded of it."""
        severity = severity_of(self.alert) or Severity.LOW
        is_still = self.evidence is Evidence.FLAT and math.isfinite(self.amount)
        return Observation(
            time_ms=self.time_ms,
            value=self.value,
            # Values near the ends of what a float holds overflow in the engine. No database column
            # may get NaN: SQLite stores it as NULL.
            expected_lower=-math.inf if math.isnan(self.lower) else self.lower,
            expected_upper=math.inf if math.isnan(self.upper) else self.upper,
            score=1.0 if math.isnan(self.score) else self.score,
            alert=self.alert,
            severity=severity.name.lower(),
            evidence=self.evidence.name.lower(),
            explanation=explain(
                self.evidence,
                self.value,
                self.lower,
                self.upper,
                amount=self.amount,
                unit=self.unit or None,
            ),
            amount=self._amount(),
            since_ms=self.time_ms - round(self.amount * 1000) if is_still else None,
        )

    def _amount(self) -> float | None:
        """Return how far it lies off, in what its evidence is measured in; None if not finite."""
        match self.evidence:
            case Evidence.ABOVE:
                amount = self.value - self.upper
            case Evidence.BELOW:
                amount = self.value - self.lower
            case Evidence.JUMP:
                amount = self.value - self.amount
            case _:
                amount = self.amount
        return amount if math.isfinite(amount) else None


def observe(
    scored: Scored, notifier: Notifier, wanted: Mapping[int, Wanted] = NOTHING_WANTED
) -> None:
    """Open, extend and close what the tick's verdicts speak for, and announce it.

    `wanted` is what people have set for those metrics for which they have set something.
    """
    running = open_spans(scored.metric_ids.tolist())
    spans = {span.metric_id: span for span in _without_silence(running, scored, notifier)}
    for place in _noteworthy(scored, spans.keys()):
        metric_id = int(scored.metric_ids[place])
        first, last = scored.starts[place], scored.starts[place + 1]
        rows = first + np.flatnonzero(scored.verdicts.judged[first:last])
        follow(
            point_verdicts_of(
                scored.points.times,
                scored.verdicts,
                rows,
                least_alert=float(scored.least_alerts[place]),
                unit=wanted.get(metric_id, AS_SHIPPED).unit,
            ),
            metric_id,
            spans.get(metric_id),
            closing_after_ms(int(scored.standing.resolution_ms[place])),
            notifier,
        )


def follow(
    point_verdicts: Iterable[PointVerdict],
    metric_id: int,
    span: Span | None,
    closing_ms: int,
    notifier: Notifier,
) -> list[Span]:
    """Walk along one metric's rulings; return the spans that opened or went on, in order."""
    met = [span] if span is not None else []
    for point_verdict in point_verdicts:
        if span is not None and point_verdict.time_ms - span.last_over_ms > closing_ms:
            close_anomaly(span)
            notifier.recovered(span)
            span = None
        if span is not None and point_verdict.holds:
            was_fresh = notifier.finds_fresh(span)
            has_risen = extend_anomaly(span, point_verdict.observation())
            if has_risen or not was_fresh:
                notifier.opened(span)
        elif span is None and point_verdict.opens:
            span = open_anomaly(
                metric_of_any_org(metric_id), point_verdict.observation(), closing_ms
            )
            met.append(span)
            notifier.opened(span)
    return met


def close_silent(silent: Iterable[int], notifier: Notifier) -> None:
    """Close the open anomalies of metrics that have stopped reporting."""
    for span in open_spans(silent):
        close_anomaly(span, by_silence=not span.is_silence)
        notifier.recovered(span)


def point_verdicts_of(
    times: Int64s, verdicts: Verdicts, rows: Int64s, *, least_alert: float, unit: str
) -> Iterator[PointVerdict]:
    """Return what was ruled of those rows of one metric, one by one."""
    for row in rows:
        yield PointVerdict(
            time_ms=int(times[row]),
            alert=float(verdicts.alerts[row]),
            strength=float(verdicts.strengths[row]),
            score=float(verdicts.scores[row]),
            value=float(verdicts.values[row]),
            lower=float(verdicts.lowers[row]),
            upper=float(verdicts.uppers[row]),
            evidence=Evidence(int(verdicts.evidence[row])),
            amount=float(verdicts.amounts[row]),
            least_alert=least_alert,
            unit=unit,
        )


def _without_silence(spans: list[Span], scored: Scored, notifier: Notifier) -> Iterator[Span]:
    """Close the silences of metrics that report again, and give the spans of the other kind."""
    for span in spans:
        if not span.is_silence:
            yield span
            continue
        place = int(np.searchsorted(scored.metric_ids, span.metric_id))
        rows = np.arange(scored.starts[place], scored.starts[place + 1])
        in_turn = scored.points.times[rows[~scored.is_late[rows]]]
        if len(in_turn):
            break_silence(span, int(in_turn[0]), notifier)


def _noteworthy(scored: Scored, is_open: Iterable[int]) -> Int64s:
    """Return the places of the few metrics that are, or may become, anomalous in this tick."""
    verdicts = scored.verdicts
    least_alerts = np.repeat(scored.least_alerts, np.diff(scored.starts))
    loud = np.flatnonzero(verdicts.judged & (verdicts.alerts >= least_alerts))
    running = np.isin(scored.metric_ids, np.fromiter(is_open, np.int64))
    return np.union1d(
        np.searchsorted(scored.metric_ids, scored.points.metric_ids[loud]), np.flatnonzero(running)
    )
