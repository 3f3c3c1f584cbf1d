from datetime import UTC, datetime, timedelta

import pytest

from anomify.anomaly.ranking import (
    AnomalyCounts,
    most_anomalous,
    most_recently_anomalous,
    summarise,
    tally,
)
from anomify.errors import Invalid
from tests.factories import make_anomaly, make_metric, make_org

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DAY_MS = 86_400_000


def ms(moment):
    return int(moment.timestamp() * 1000)


@pytest.fixture
def acme(unit):
    org = make_org("Acme")
    for name, days in (("often", (0, 1, 2)), ("lately", (5,)), ("once", (2,)), ("never", ())):
        metric = make_metric(org, name)
        for day in days:
            make_anomaly(metric, START + day * DAY, severity="low" if day else "high", score=0.5)
    other = make_org("Globex")
    make_anomaly(make_metric(other, "theirs"), START)
    return org


def ranked(page):
    return [(one.metric.name, one.anomalies, one.last_ms) for one in page.items]


class TestMostAnomalous:
    def test_counts_anomalies_that_began_in_the_window(self, acme):
        window = {"from_ms": ms(START), "until_ms": ms(START + 5 * DAY)}
        page = most_anomalous(acme.id, **window)
        assert ranked(page) == [
            ("often", 3, ms(START + 2 * DAY)),
            ("once", 1, ms(START + 2 * DAY)),
        ]
        assert page.total == 2

    def test_sorts_equal_counts_by_the_latest_anomaly(self, acme):
        window = {"from_ms": ms(START + 2 * DAY), "until_ms": ms(START + 9 * DAY)}
        assert [name for name, _, _ in ranked(most_anomalous(acme.id, **window))] == [
            "lately",
            "often",
            "once",
        ]
        page = most_anomalous(acme.id, **window, limit=1, offset=1)
        assert (ranked(page)[0][0], page.total) == ("often", 3)


class TestMostRecentlyAnomalous:
    def test_sorts_by_the_latest_anomaly(self, acme):
        page = most_recently_anomalous(acme.id)
        assert [name for name, _, _ in ranked(page)] == ["lately", "often", "once"]
        assert page.total == 3
        assert ranked(most_recently_anomalous(acme.id, limit=1, offset=2))[0][0] == "once"


class TestTally:
    def test_counts_all_recent_and_open_ones(self, acme):
        metric = make_metric(acme, "m")
        make_anomaly(metric, START)
        make_anomaly(metric, START + DAY, minutes=None)
        assert tally(acme.id, metric.id, since_ms=ms(START + DAY)) == AnomalyCounts(2, 1, 1)
        assert tally(make_org("Else").id, metric.id, since_ms=0) == AnomalyCounts(0, 0, 0)


class TestSummarise:
    def test_has_every_stretch_and_the_sums(self, acme):
        metric = make_metric(acme, "m")
        make_anomaly(metric, START + timedelta(hours=1), severity="high", score=0.9)
        make_anomaly(metric, START + timedelta(hours=5), severity="low", score=0.6)
        make_anomaly(metric, START + 2 * DAY, severity="low", score=0.6, minutes=None)
        make_anomaly(metric, START + 3 * DAY)
        from_ms, until_ms = ms(START + timedelta(minutes=30)), ms(START + 3 * DAY)
        found = summarise(acme.id, metric.id, from_ms=from_ms, until_ms=until_ms, stretch_ms=DAY_MS)
        assert [(one.from_ms, one.anomalies) for one in found.stretches] == [
            (ms(START), 2),
            (ms(START + DAY), 0),
            (ms(START + 2 * DAY), 1),
        ]
        assert (found.total, found.running) == (3, 1)
        assert found.by_severity == {"low": 2, "medium": 0, "high": 1}
        assert found.mean_score == pytest.approx(0.7)
        assert (found.first_ms, found.last_ms) == (
            ms(START + timedelta(hours=1)),
            ms(START + 2 * DAY),
        )

    def test_without_anomalies_has_no_mean(self, acme):
        metric = make_metric(acme, "m")
        found = summarise(acme.id, metric.id, from_ms=0, until_ms=10, stretch_ms=1000)
        assert (found.total, found.mean_score, found.first_ms, found.last_ms) == (
            0,
            None,
            None,
            None,
        )
        assert [(one.from_ms, one.anomalies) for one in found.stretches] == [(0, 0)]

    def test_refuses_too_many_stretches(self, acme):
        with pytest.raises(Invalid) as refusal:
            summarise(acme.id, 1, from_ms=0, until_ms=1001, stretch_ms=1)
        assert set(refusal.value.fields) == {"bucket"}
