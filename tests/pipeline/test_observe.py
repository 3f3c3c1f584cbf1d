"""What becomes of rulings: when an anomaly opens, goes on and ends, and what is told of it."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from anomify.anomaly.model import Span
from anomify.anomaly.queries import open_spans
from anomify.delivery.model import Delivery
from anomify.detection.evidence import Evidence
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.metric.model import Metric
from anomify.org.model import Org
from anomify.pipeline.announce import ANNOUNCED_FOR, Notifier
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


@dataclass(frozen=True)
class Diary(Notifier):
    """A herald that writes down what it would tell."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def opened(self, span: Span) -> None:
        if self.is_recent(span.last_over_ms):
            self.told.append(("opened", span.severity))

    def recovered(self, span: Span) -> None:
        self.told.append(("recovered", span.severity))


@pytest.fixture
def metric(unit: Session) -> Metric:
    assert unit.is_active
    return make_metric(make_org())


def at(minutes: float, alert: float = 0.0, strength: float | None = None) -> PointVerdict:
    """A ruling so long after noon; as strong as it is alarming unless said otherwise."""
    return replace(
        QUIET,
        time_ms=NOON_MS + int(minutes * MINUTE),
        alert=alert,
        strength=alert if strength is None else strength,
        evidence=Evidence.ABOVE if alert else Evidence.NONE,
    )


def notifier(minutes: float = 10) -> Diary:
    return Diary(datetime.fromtimestamp(NOON.timestamp() + minutes * 60, UTC))


def story(metric: Metric, *point_verdicts: PointVerdict, diary: Diary | None = None) -> list[tuple]:
    """When each anomaly began, was last loud, and whether it still runs, in minutes."""
    spans = record_metric(point_verdicts, metric.id, None, CLOSING_MS, diary or notifier())
    return [
        ((span.started_ms - NOON_MS) / MINUTE, (span.last_over_ms - NOON_MS) / MINUTE, span.is_open)
        for span in spans
    ]


class TestFollow:
    def test_opens_nothing_below_the_least_threshold(self, metric):
        assert story(metric, at(0), at(1, LOW * 0.99, strength=9 * HIGH)) == []

    def test_opens_at_the_first_point_over_it_and_goes_on_while_it_is_strong(self, metric):
        found = story(metric, at(0), at(1, LOW), at(2, 0.0, strength=LOW), at(3))
        assert found == [(1, 2, True)]

    def test_ends_after_five_quiet_minutes_and_not_before(self, metric):
        assert story(metric, at(1, HIGH), at(6)) == [(1, 1, True)]
        assert story(metric, at(1, HIGH), at(6.001)) == [(1, 1, False)]

    def test_takes_what_comes_within_them_as_the_same(self, metric):
        assert story(metric, at(1, HIGH), at(3), at(6, HIGH)) == [(1, 6, True)]

    def test_takes_what_comes_after_them_as_another(self, metric):
        assert story(metric, at(1, HIGH), at(7, HIGH)) == [(1, 1, False), (7, 7, True)]

    def test_finds_the_same_cases_when_it_is_walked_again(self, metric):
        point_verdicts = (at(1, HIGH), at(7, LOW), at(8, HIGH), at(20))
        first = record_metric(point_verdicts, metric.id, None, CLOSING_MS, notifier())
        known = [(span.anomaly_id, span.started_ms, span.last_over_ms) for span in first]
        again = record_metric(point_verdicts, metric.id, None, CLOSING_MS, notifier())
        assert [(span.anomaly_id, span.started_ms, span.last_over_ms) for span in again] == known

    def test_goes_on_with_one_that_is_open(self, metric):
        [span] = record_metric([at(1, HIGH)], metric.id, None, CLOSING_MS, notifier())
        assert record_metric([at(3, LOW), at(9)], metric.id, span, CLOSING_MS, notifier()) == [span]
        assert (span.is_open, span.ended_ms) == (False, NOON_MS + 3 * MINUTE)


class TestTelling:
    def test_is_done_when_it_opens_and_when_it_is_over(self, metric):
        diary = notifier()
        story(metric, at(1, HIGH), at(2, HIGH), at(8), diary=diary)
        assert diary.told == [("opened", "high"), ("recovered", "high")]

    def test_is_done_again_when_the_severity_has_risen(self, metric):
        diary = notifier()
        story(metric, at(1, LOW), at(2, HIGH), at(3, HIGH * 1.1), diary=diary)
        assert diary.told == [("opened", "low"), ("opened", "high")]

    def test_is_not_done_of_what_was_over_more_than_an_hour_ago(self, metric):
        minutes = ANNOUNCED_FOR.total_seconds() / 60 + 2
        diary = notifier(minutes + 0.001)
        story(metric, at(2, HIGH), diary=diary)
        assert diary.told == []
        diary = notifier(minutes)
        story(metric, at(2, HIGH), diary=diary)
        assert diary.told == [("opened", "high")]

    def test_is_done_once_of_what_began_long_ago_and_still_runs(self, metric):
        diary = notifier(240)
        story(metric, *(at(minutes, HIGH) for minutes in range(0, 240, 4)), diary=diary)
        assert diary.told == [("opened", "high")]

    def test_is_done_with_the_severity_that_was_reached_while_nobody_was_told(self, metric):
        diary = notifier(240)
        point_verdicts = (
            at(0, LOW),
            at(4, HIGH),
            *(at(minutes, LOW) for minutes in range(8, 240, 4)),
        )
        story(metric, *point_verdicts, diary=diary)
        assert diary.told == [("opened", "high")]


class TestHerald:
    def test_tells_of_the_end_only_those_who_heard_of_the_beginning(self, unit, metric):
        told, untold = (
            record_metric([at(minutes, HIGH)], metric.id, None, CLOSING_MS, Diary(NOON))[0]
            for minutes in (0, 20)
        )
        make_watcher(unit.get_one(Org, metric.org_id), webhook_url="https://hooks.example/")
        real = Notifier(NOON)
        real.opened(told)
        for span in (told, untold):
            real.recovered(span)
            real.recovered(span)
        rows = unit.query(Delivery.anomaly_id, Delivery.transition).order_by(Delivery.transition)
        assert [tuple(row) for row in rows] == [
            (told.anomaly_id, "opened"),
            (told.anomaly_id, "recovered"),
        ]


class TestCloseSilent:
    def test_ends_those_that_fell_silent_and_tells_it(self, unit, metric):
        running = make_anomaly(metric, NOON, minutes=None)
        other = make_anomaly(make_metric(make_org("Globex")), NOON, minutes=None)
        unit.flush()
        diary = notifier()
        close_all_of_silent([metric.id, 10**6], diary)
        still_open = open_spans([metric.id, other.span.metric_id])
        assert [span.anomaly_id for span in still_open] == [other.id]
        assert running.span.ended_by_silence
        assert diary.told == [("recovered", "high")]
