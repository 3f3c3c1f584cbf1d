"""Which anomalies become one incident, with generated names, times and steps."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from anomify.anomaly.model import Anomaly
from anomify.clock import datetime_from_ms, to_ms
from anomify.db import session
from anomify.incident.grouping import group
from anomify.incident.model import STORM, Incident
from anomify.incident.queries import incidents_with, memberships_of
from anomify.metric.model import Metric, Progress
from anomify.org.model import Org
from anomify.series import Judgements, Series
from tests.factories import make_anomaly, make_metric, make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.usefixtures("unit")


def unlike(count: int, seed: int = 1) -> list[str]:
    """Return names that have no word in common."""
    rng = random.Random(seed)
    return [f"{rng.randrange(16**8):08x}.{rng.randrange(16**8):08x}.{n}x" for n in range(count)]


def metrics_of(org: Org, names: Iterable[str], step: int = 60) -> list[Metric]:
    metrics = [make_metric(org, name) for name in names]
    for metric in metrics:
        session().add(
            Progress(
                metric_id=metric.id,
                resolution_ms=step * 1000,
                judged_until_ms=0,
                points_seen=0,
                last_value=0.0,
            )
        )
    session().flush()
    return metrics


def begin(metric: Metric, at: datetime, **more: object) -> Anomaly:
    """Open an anomaly and put it into an incident at that moment."""
    anomaly = make_anomaly(metric, at, minutes=None, **more)
    group([anomaly.span], at)
    return anomaly


def end(anomaly: Anomaly, at: datetime) -> None:
    anomaly.span.is_open = False
    anomaly.span.ended_ms = anomaly.span.last_over_ms = to_ms(at)
    [incident] = incidents_with([anomaly.id])
    open_ones = [each for each in anomalies_of(incident) if each.span.is_open]
    if not open_ones:
        incident.is_open, incident.closed_at = False, at
    session().flush()


def anomalies_of(incident: Incident) -> list[Anomaly]:
    return [
        session().get_one(Anomaly, anomaly_id)
        for anomaly_id, found in memberships_of(list(range(1, 2000))).items()
        if found.id == incident.id
    ]


def sizes(anomalies: Sequence[Anomaly]) -> list[int]:
    """Return how many of these are in each incident, the largest first."""
    found = memberships_of([anomaly.id for anomaly in anomalies])
    return sorted(Counter(incident.id for incident in found.values()).values(), reverse=True)


def series_of(times: np.ndarray, values: np.ndarray) -> Series:
    return Series(times, values, Judgements.none(len(times)))


def make_past(org: Org, metric: Metric, count: int) -> None:
    """Give the org so many incidents in the days before."""
    first = make_anomaly(metric, NOON - timedelta(days=6))
    session().add_all(
        Incident(
            uuid=str(uuid4()),
            org_id=org.id,
            severity="low",
            is_open=False,
            began_ms=to_ms(at),
            opened_at=at,
            changed_at=at,
            closed_at=at,
            first_anomaly_id=first.id,
        )
        for at in (NOON - timedelta(days=1) - number * 10 * MINUTE for number in range(count))
    )


@pytest.mark.parametrize("step", [10, 60, 300])
def test_what_begins_together_is_one_incident(step: int) -> None:
    for seed in range(2):
        org = make_org(f"Acme {seed}")
        rng = random.Random(seed)
        # Senders report at their own moments; what is worse is noticed earlier.
        offsets = sorted(rng.uniform(0, max(step, 60)) for _ in range(25))
        metrics = metrics_of(org, unlike(25, seed), step)
        anomalies = [
            begin(metric, NOON + offset * SECOND)
            for metric, offset in zip(metrics, offsets, strict=True)
        ]
        assert sizes(anomalies) == [25], seed


def test_a_burst_is_one_incident_although_much_begins_by_chance() -> None:
    org = make_org()
    [noisy, *metrics] = metrics_of(org, unlike(26))
    make_past(org, noisy, 400)
    anomalies = [make_anomaly(metric, NOON, minutes=None) for metric in metrics]
    group([anomaly.span for anomaly in anomalies], NOON)
    assert sizes(anomalies) == [25]


def test_what_is_unrelated_stays_apart_in_a_noisy_org() -> None:
    for minutes in (1, 3, 20, 90):
        org = make_org(f"Acme {minutes}")
        [noisy, *metrics] = metrics_of(org, unlike(7, minutes))
        make_past(org, noisy, 400)
        anomalies = [
            begin(metric, NOON + number * minutes * MINUTE) for number, metric in enumerate(metrics)
        ]
        assert sizes(anomalies) == [1] * 6, minutes


def test_what_is_unrelated_stays_apart_in_a_calm_org() -> None:
    org = make_org()
    metrics = metrics_of(org, unlike(6))
    anomalies = [begin(each, NOON + n * 15 * MINUTE) for n, each in enumerate(metrics)]
    assert sizes(anomalies) == [1] * 6


@pytest.mark.parametrize(
    "names",
    [
        [f'{kind}{{host="web-1",dc="a"}}' for kind in ("load", "errors", "latency", "queue")],
        [f'http_requests{{host="web-{n}",job="shop"}}' for n in range(6)],
        ["shop.db.locks", "shop.db.wait", "shop.db.errors", "shop.api.errors"],
    ],
)
def test_a_cascade_along_names_is_one_incident_even_in_a_noisy_org(names: list[str]) -> None:
    org = make_org()
    [noisy, *metrics] = metrics_of(org, [*unlike(1), *names])
    make_past(org, noisy, 400)
    anomalies = [begin(each, NOON + n * 4 * MINUTE) for n, each in enumerate(metrics)]
    assert sizes(anomalies) == [len(names)]


def test_series_that_move_together_are_one_incident() -> None:
    times = to_ms(NOON) - 60_000 * np.arange(240, dtype=np.int64)[::-1]
    wave = np.sin(np.arange(240) / 7.0)
    rng = np.random.default_rng(3)
    for is_alike in (True, False):
        org = make_org(f"Acme {is_alike}")
        [noisy, *metrics] = metrics_of(org, unlike(3, int(is_alike)))
        make_past(org, noisy, 400)
        series = {
            metrics[0].id: series_of(times, wave),
            metrics[1].id: series_of(times, 3 * wave if is_alike else rng.normal(0, 1, 240)),
        }
        anomalies = []
        for number, metric in enumerate(metrics):
            at = NOON + number * 5 * MINUTE
            anomalies.append(make_anomaly(metric, at, minutes=None))
            group([anomalies[-1].span], at, lambda _, known=series: known)
        assert sizes(anomalies) == ([2] if is_alike else [1, 1])


def test_a_metric_that_becomes_unusual_again_soon_is_one_incident() -> None:
    for gap, expected in ((2, [2]), (4, [2]), (7, [1, 1]), (70, [1, 1])):
        org = make_org(f"Acme {gap}")
        [metric] = metrics_of(org, unlike(1))
        first = begin(metric, NOON)
        end(first, NOON + 3 * MINUTE)
        again = begin(metric, NOON + (3 + gap) * MINUTE, is_silence=True)
        assert sizes([first, again]) == expected, gap
        if len(expected) == 1:
            assert incidents_with([again.id])[0].is_open


def test_an_incident_that_never_ends_takes_nothing_new() -> None:
    org = make_org()
    dead, other = metrics_of(org, unlike(2))
    anomalies = [begin(dead, NOON), begin(other, NOON)]
    end(anomalies[1], NOON + 5 * MINUTE)
    anomalies.append(begin(other, NOON + timedelta(days=3)))
    assert sizes(anomalies) == [2, 1]
    # While it is young, a metric of it that becomes unusual again still belongs to it.
    org = make_org("Other")
    dead, other = metrics_of(org, unlike(2, 9))
    anomalies = [begin(dead, NOON), begin(other, NOON)]
    end(anomalies[1], NOON + 5 * MINUTE)
    anomalies.append(begin(other, NOON + 40 * MINUTE))
    assert sizes(anomalies) == [3]


def test_late_points_are_grouped_by_when_they_were_measured() -> None:
    org = make_org()
    metrics = metrics_of(org, unlike(3))
    arrived = NOON + 40 * MINUTE
    anomalies = [make_anomaly(metrics[0], NOON, minutes=None)]
    group([anomalies[0].span], arrived)
    for metric, measured in ((metrics[1], NOON + MINUTE), (metrics[2], arrived)):
        anomalies.append(make_anomaly(metric, measured, minutes=None))
        group([anomalies[-1].span], arrived + MINUTE)
    assert sizes(anomalies) == [2, 1]


def test_two_orgs_never_share_an_incident() -> None:
    anomalies = []
    for name in ("Acme", "Other"):
        metrics = metrics_of(make_org(name), ["cpu.a", "cpu.b"])
        anomalies += [make_anomaly(metric, NOON, minutes=None) for metric in metrics]
    incidents = group([anomaly.span for anomaly in anomalies], NOON)
    assert sizes(anomalies) == [2, 2]
    assert {incident.org_id for incident in incidents} == {each.org_id for each in anomalies}


class TestStorm:
    def in_ticks(self, org: Org, count: int, ticks: int) -> list[Anomaly]:
        [noisy, *metrics] = metrics_of(org, unlike(count + 1))
        make_past(org, noisy, 400)
        anomalies = []
        for tick in range(ticks):
            at = NOON + tick * 10 * SECOND
            some = [
                # At their own moments, each alone in its four minutes.
                make_anomaly(metric, at - number * 5 * MINUTE, minutes=None)
                for number, metric in enumerate(metrics[tick::ticks])
            ]
            group([anomaly.span for anomaly in some], at)
            anomalies += some
        return anomalies

    def test_too_many_at_once_are_one_incident(self) -> None:
        anomalies = self.in_ticks(make_org(), 60, 1)
        assert sizes(anomalies) == [60]
        assert incidents_with([anomalies[0].id])[0].kind == STORM

    def test_fifty_are_told_apart(self) -> None:
        assert sizes(self.in_ticks(make_org(), 50, 1)) == [1] * 50

    def test_what_comes_after_the_fiftieth_is_one_incident(self) -> None:
        found = sizes(self.in_ticks(make_org(), 120, 4))
        assert found[0] >= 90
        assert len(found) <= 31

    def test_a_storm_that_has_calmed_down_takes_nothing_new(self) -> None:
        org = make_org()
        storm = self.in_ticks(org, 60, 1)
        # Less than five minutes apart, as in any calm time, and the storm never ends.
        later = [
            begin(metric, NOON + (10 + 4 * number) * MINUTE)
            for number, metric in enumerate(metrics_of(org, unlike(20, 5)))
        ]
        assert sizes([*storm, *later])[0] <= 61

    def test_a_storm_of_brief_anomalies_stays_one(self) -> None:
        org = make_org()
        storm = self.in_ticks(org, 60, 1)
        for anomaly in storm:
            end(anomaly, NOON + 20 * SECOND)
        more = [
            make_anomaly(metric, NOON + 30 * SECOND - n * 5 * MINUTE, minutes=None)
            for n, metric in enumerate(metrics_of(org, unlike(60, 8)))
        ]
        group([anomaly.span for anomaly in more], NOON + 40 * SECOND)
        assert sizes([*storm, *more]) == [120]
        assert datetime_from_ms(more[0].span.started_ms) == NOON + 30 * SECOND
