"""When verdicts open, extend and close an anomaly, and which changes are announced."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from anomify.anomaly.model import Span
from anomify.anomaly.queries import open_spans
from anomify.anomaly.recording import close_anomaly
from anomify.delivery.model import Delivery
from anomify.detection.evidence import Evidence
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.pipeline.announce import ANNOUNCED_FOR, Notifier, announcing
from anomify.pipeline.candidates import PointVerdict
from anomify.pipeline.no_data import close_all_of_silent
from anomify.pipeline.observe import record_metric
from tests.factories import make_anomaly, make_metric, make_org, make_watcher

MINUTE = 60_000
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
CLOSING_MS = 5 * MINUTE
LOW, HIGH = THRESHOLDS[Severity.LOW], THRESHOLDS[Severity.HIGH]
QUIET = PointVerdict(
    time_ms=NOON_MS,
    alert=0.0,
    strength=0.0,
    score=0.1,
    value=20.0,
    lower=10.0,
    upper=40.0,
    evidence=Evidence.NONE,
    amount=float("nan"),
    least_alert=LOW,
    unit="",
)


@dataclass
class RecordingNotifier(Notifier):
    """A notifier that records what it would announce."""

    announced: list[tuple[str, str]] = field(default_factory=list)

    def opened(self, span: Span) -> None:
        if self.is_recent(span.last_over_ms):
            self.announced.append(("opened", span.severity))

    def recovered(self, span: Span) -> None:
        self.announced.append(("recovered", span.severity))


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


def at(minutes: float, alert: float = 0.0, strength: float | None = None) -> PointVerdict:
    """A verdict so many minutes after noon; its strength is its alert unless given."""
    return replace(
        QUIET,
        time_ms=NOON_MS + int(minutes * MINUTE),
        alert=alert,
        strength=alert if strength is None else strength,
        evidence=Evidence.ABOVE if alert else Evidence.NONE,
    )


def notifier(minutes: float = 10) -> RecordingNotifier:
    return RecordingNotifier(datetime.fromtimestamp(NOON.timestamp() + minutes * 60, UTC))


def spans_of(
    metric: Metric, *point_verdicts: PointVerdict, recorder: RecordingNotifier | None = None
) -> list[tuple]:
    """The minutes in which each anomaly began and was last over, and whether it is open."""
    spans = record_metric(
        point_verdicts,
        metric.id,
        None,
        CLOSING_MS,
        step_ms=MINUTE,
        announce=(recorder or notifier()).announce,
    ).spans
    return [
        ((span.started_ms - NOON_MS) / MINUTE, (span.last_over_ms - NOON_MS) / MINUTE, span.is_open)
        for span in spans
    ]


class TestRecordMetric:
    def test_opens_nothing_below_the_least_threshold(self, metric):
        assert spans_of(metric, at(0), at(1, LOW * 0.99, strength=9 * HIGH)) == []

    def test_opens_at_the_first_point_over_the_threshold_and_continues_while_the_strength_is(
        self, metric
    ):
        found = spans_of(metric, at(0), at(1, LOW), at(2, 0.0, strength=LOW), at(3))
        assert found == [(1, 2, True)]

    def test_closes_after_five_normal_minutes_and_not_before(self, metric):
        assert spans_of(metric, at(1, HIGH), at(6)) == [(1, 1, True)]
        assert spans_of(metric, at(1, HIGH), at(6.001)) == [(1, 1, False)]

    def test_extends_the_same_anomaly_within_five_minutes(self, metric):
        assert spans_of(metric, at(1, HIGH), at(3), at(6, HIGH)) == [(1, 6, True)]

    def test_opens_another_after_five_minutes(self, metric):
        assert spans_of(metric, at(1, HIGH), at(7, HIGH)) == [(1, 1, False), (7, 7, True)]

    def test_finds_the_same_anomalies_when_repeated(self, metric):
        point_verdicts = (at(1, HIGH), at(7, LOW), at(8, HIGH), at(20))
        first = record_metric(
            point_verdicts,
            metric.id,
            None,
            CLOSING_MS,
            step_ms=MINUTE,
            announce=notifier().announce,
        ).spans
        known = [(span.anomaly_id, span.started_ms, span.last_over_ms) for span in first]
        again = record_metric(
            point_verdicts,
            metric.id,
            None,
            CLOSING_MS,
            step_ms=MINUTE,
            announce=notifier().announce,
        ).spans
        assert [(span.anomaly_id, span.started_ms, span.last_over_ms) for span in again] == known

    def test_extends_an_open_one(self, metric):
        [span] = record_metric(
            [at(1, HIGH)], metric.id, None, CLOSING_MS, step_ms=MINUTE, announce=notifier().announce
        ).spans
        again = record_metric(
            [at(3, LOW), at(9)],
            metric.id,
            span,
            CLOSING_MS,
            step_ms=MINUTE,
            announce=notifier().announce,
        )
        assert again.spans == [span]
        assert (span.is_open, span.ended_ms) == (False, NOON_MS + 3 * MINUTE)


class TestAnnouncing:
    def test_is_done_when_an_anomaly_opens_and_when_it_ends(self, metric):
        recorder = notifier()
        spans_of(metric, at(1, HIGH), at(2, HIGH), at(8), recorder=recorder)
        assert recorder.announced == [("opened", "high"), ("recovered", "high")]

    def test_is_done_again_when_the_severity_has_risen(self, metric):
        recorder = notifier()
        spans_of(metric, at(1, LOW), at(2, HIGH), at(3, HIGH * 1.1), recorder=recorder)
        assert recorder.announced == [("opened", "low"), ("opened", "high")]

    def test_is_not_done_for_anomalies_that_ended_over_an_hour_ago(self, metric):
        minutes = ANNOUNCED_FOR.total_seconds() / 60 + 2
        recorder = notifier(minutes + 0.001)
        spans_of(metric, at(2, HIGH), recorder=recorder)
        assert recorder.announced == []
        recorder = notifier(minutes)
        spans_of(metric, at(2, HIGH), recorder=recorder)
        assert recorder.announced == [("opened", "high")]

    def test_is_done_once_for_an_old_anomaly_that_is_still_open(self, metric):
        recorder = notifier(240)
        spans_of(metric, *(at(minutes, HIGH) for minutes in range(0, 240, 4)), recorder=recorder)
        assert recorder.announced == [("opened", "high")]

    def test_uses_the_severity_that_was_reached_before_the_first_message(self, metric):
        recorder = notifier(240)
        point_verdicts = (
            at(0, LOW),
            at(4, HIGH),
            *(at(minutes, LOW) for minutes in range(8, 240, 4)),
        )
        spans_of(metric, *point_verdicts, recorder=recorder)
        assert recorder.announced == [("opened", "high")]


class TestNotifier:
    def test_announces_a_recovery_only_to_those_informed_of_the_opening(self, unit, metric):
        announced, untold = (
            record_metric(
                [at(minutes, HIGH)],
                metric.id,
                None,
                CLOSING_MS,
                step_ms=MINUTE,
                announce=RecordingNotifier(NOON).announce,
            ).spans[0]
            for minutes in (0, 20)
        )
        make_watcher(unit.get_one(Org, metric.org_id), webhook_url="https://hooks.example/")
        with announcing(NOON) as real:
            real.opened(announced)
        with announcing(NOON) as real:
            for span in (announced, untold):
                close_anomaly(span)
                real.recovered(span)
                real.recovered(span)
        rows = unit.query(Delivery.metric_id, Delivery.transition).order_by(Delivery.transition)
        assert [tuple(row) for row in rows] == [(metric.id, "opened"), (metric.id, "recovered")]


class TestCloseAllOfSilent:
    def test_closes_and_announces_those_of_silent_metrics(self, unit, metric):
        running = make_anomaly(metric, NOON, minutes=None)
        other = make_anomaly(make_metric(make_org("Globex")), NOON, minutes=None)
        unit.flush()
        recorder = notifier()
        close_all_of_silent([metric.id, 10**6], recorder)
        still_open = open_spans([metric.id, other.span.metric_id])
        assert [span.anomaly_id for span in still_open] == [other.id]
        assert running.span.ended_by_silence
        assert recorder.announced == [("recovered", "high")]
