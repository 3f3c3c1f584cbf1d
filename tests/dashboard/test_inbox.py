"""The inbox: order, filters, empty lists, and access by users of other orgs."""

import re
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import event, select

from anomify.clock import now, now_ms
from anomify.db import session
from anomify.org.heartbeat import record_heartbeat
from anomify.user.model import User
from tests.factories import make_anomaly, make_metric

HOSTILE = '"><svg onload=alert(1)>'
MINUTE = 60_000


def names(text: str) -> list[str]:
    """The metrics of the rows, from top to bottom."""
    return [unescape(name) for name in re.findall(r'<bdi class="name" title="([^"]*)"', text)]


@pytest.fixture
def busy(site):
    """Three metrics with an anomaly each: one runs, one is an hour old, one ten days."""
    hours = {"api.errors": 0, "cpu.load": 1, "disk.old": 240}
    for name, age in hours.items():
        metric = site.make_metric(name)
        with site.database.unit_of_work():
            make_anomaly(
                metric,
                now() - timedelta(hours=age, minutes=20),
                minutes=None if age == 0 else 5,
                severity={"api.errors": "high", "cpu.load": "low", "disk.old": "medium"}[name],
            )
    return site


class TestPage:
    def test_marks_the_anomalies_that_it_shows_as_seen(self, busy):
        def seen():
            with busy.database.unit_of_work(write=False):
                return session().scalar(select(User.seen_anomaly_id).where(User.name == "Bob"))

        busy.get("/ui/?metric=cpu", "bob")
        assert seen() is None
        busy.get("/ui/", "bob")
        assert seen() is not None

    def test_shows_the_newest_first(self, busy):
        assert names(busy.text("/ui/", window="all")) == ["api.errors", "cpu.load", "disk.old"]

    def test_shows_a_week_by_default(self, busy):
        assert names(busy.text("/ui/")) == ["api.errors", "cpu.load"]

    def test_shows_severity_explanation_and_duration(self, busy):
        text = busy.text("/ui/")
        assert "</svg>High</span>" in text
        assert "97.5 is far above the 10 to 40 that are usual." in text
        assert "Still running, 20 minutes" in text
        assert "5 minutes" in text

    def test_links_to_the_metric_with_the_window_of_the_anomaly(self, busy):
        link = re.search(r'href="(/ui/metric\?name=cpu.load[^"]*)"', busy.text("/ui/"))
        address = unescape(link[1])
        assert "from=" in address
        assert "until=" in address
        assert busy.get(address).status_code == 200

    @pytest.mark.parametrize(
        ("requested", "found"),
        [
            ({"state": "open"}, ["api.errors"]),
            ({"state": "ended"}, ["cpu.load"]),
            ({"severity": "high"}, ["api.errors"]),
            ({"severity": "medium", "window": "all"}, ["api.errors", "disk.old"]),
            ({"metric": "CPU lo"}, ["cpu.load"]),
            ({"metric": "100%"}, []),
            ({"window": "24h"}, ["api.errors", "cpu.load"]),
        ],
    )
    def test_applies_the_filters(self, busy, requested, found):
        assert names(busy.text("/ui/", **requested)) == found

    def test_counts_each_state(self, busy):
        choices = re.findall(r'(All|Running|Ended) <span class="count">(\d+)', busy.text("/ui/"))
        assert choices == [("All", "2"), ("Running", "1"), ("Ended", "1")]
        choices = re.findall(
            r'(All|Running|Ended) <span class="count">(\d+)', busy.text("/ui/", state="ended")
        )
        assert choices == [("All", "2"), ("Running", "1"), ("Ended", "1")]

    def test_links_to_other_pages_keep_the_filters(self, site):
        metric = site.make_metric()
        with site.database.unit_of_work():
            for hour in range(30):
                make_anomaly(metric, now() - timedelta(hours=hour + 1))
        first = site.text("/ui/", severity="medium")
        assert "1\N{EN DASH}25 of 30" in first
        assert "/ui/?severity=medium&amp;offset=25" in first
        assert "26\N{EN DASH}30 of 30" in site.text("/ui/", severity="medium", offset=25)

    def test_draws_the_metric_around_the_anomaly(self, busy):
        metric = busy.make_metric("drawn")
        start = now_ms() // MINUTE * MINUTE - 60 * MINUTE
        busy.send(metric.id, *[(start + step * MINUTE, float(step % 7)) for step in range(60)])
        with busy.database.unit_of_work():
            make_anomaly(metric, now() - timedelta(minutes=30), minutes=10)
        text = busy.text("/ui/", metric="drawn")
        assert re.search(r'<path class="line" d="M[\d. L]+"', text)
        assert re.search(r'<path class="line is-found" d="M[\d. L]+"', text)

    def test_a_counter_is_drawn_as_its_rate(self, site):
        metric = site.make_metric("requests_total", is_counter=True)
        start = now_ms() // MINUTE * MINUTE - 60 * MINUTE
        site.send(metric.id, *[(start + step * MINUTE, step * 600.0) for step in range(60)])
        with site.database.unit_of_work():
            make_anomaly(metric, now() - timedelta(minutes=30), minutes=10, expected_lower=10.0)
        heights = re.search(r'<path class="line" d="M([\d. L]+)"', site.text("/ui/"))[1]
        assert len({place.split()[1] for place in heights.split("L")}) == 1

    def test_hostile_names_are_escaped(self, site):
        metric = site.make_metric(HOSTILE)
        with site.database.unit_of_work():
            make_anomaly(metric, now() - timedelta(hours=1), explanation=HOSTILE)
        text = site.text("/ui/", metric=HOSTILE)
        assert "<svg onload" not in text
        assert names(text) == [HOSTILE]

    def test_explains_an_empty_list_without_metrics(self, site):
        text = site.text("/ui/")
        assert "No metrics yet" in text
        assert 'href="/ui/connect"' in text

    def test_explains_an_empty_list_without_anomalies(self, site):
        site.make_metric("a")
        site.make_metric("b", points_seen=12)
        text = site.text("/ui/")
        assert "Nothing unusual in the last 7 days" in text
        assert "2 metrics watched, 1 learning." in text

    def test_explains_an_empty_list_with_filters(self, busy):
        text = busy.text("/ui/", metric="nothing like it")
        assert "No anomalies match these filters" in text

    def test_shows_nothing_to_users_of_other_orgs(self, busy):
        text = busy.text("/ui/", who="charlie", window="all")
        assert names(text) == []
        assert "No metrics yet" in text
        assert "still running" not in text

    @pytest.mark.parametrize("who", ["alice", "bob", "dave"])
    def test_is_shown_to_every_user_of_the_org(self, busy, who):
        assert len(names(busy.text("/ui/", who=who))) == 2

    def test_the_number_of_queries_does_not_grow_with_the_anomalies(self, site):
        metric = site.make_metric()
        with site.database.unit_of_work():
            for hour in range(30):
                make_anomaly(metric, now() - timedelta(hours=hour + 1))
        # The first look also notes what was seen.
        site.text("/ui/")
        sent = _statements(site)
        with site.database.unit_of_work():
            for hour in range(60):
                make_anomaly(metric, now() - timedelta(hours=hour + 31))
        assert _statements(site) == sent


class TestNewer:
    def test_counts_anomalies_that_began_since(self, busy):
        link = unescape(re.search(r'data-newer="([^"]*)"', busy.text("/ui/"))[1])
        assert busy.get(link).get_json() == {"count": 0}
        with busy.database.unit_of_work():
            make_anomaly(make_metric(busy.cast.acme, "fresh"), now())
            make_anomaly(make_metric(busy.cast.globex, "other"), now())
        assert busy.get(link).get_json() == {"count": 1}

    def test_counts_nothing_for_users_of_other_orgs(self, busy):
        assert busy.get("/ui/newer?since_ms=0", who="charlie").get_json() == {"count": 0}


class TestPulse:
    def test_counts_metrics_by_state(self, site):
        site.make_metric("judged")
        site.make_metric("learning", points_seen=3)
        site.make_metric("stale", judged_until_ms=now_ms() - 86_400_000)
        site.make_metric("constant", is_constant=True)
        found = re.findall(r"<b>(\d+)</b> (\w+)", site.text("/ui/"))
        assert found == [("1", "judged"), ("1", "learning"), ("1", "stale"), ("1", "constant")]

    @pytest.mark.parametrize(
        ("age_seconds", "lag_seconds", "words"),
        [
            (1, 0.2, "Judging is up to date"),
            (1, 90, "Judging is 1 minute behind"),
            (600, 0, "Judging stopped 10 minutes ago"),
        ],
    )
    def test_shows_how_far_judging_is_behind(self, site, age_seconds, lag_seconds, words):
        with site.database.unit_of_work():
            beaten_at = now() - timedelta(seconds=age_seconds)
            record_heartbeat("one", beaten_at, log_offset=1, lag_seconds=lag_seconds)
        assert words in site.text("/ui/")

    def test_shows_how_many_metrics_are_learnt_again(self, site):
        counts = {"learnt_again": 3_400, "to_learn_again": 10_000}
        with site.database.unit_of_work():
            record_heartbeat("one", now(), log_offset=1, lag_seconds=40, **counts)
        assert "Learning the metrics again: 3,400 of 10,000" in site.text("/ui/")

    def test_shows_that_judging_has_stopped(self, site):
        assert "Judging has not begun yet" in site.text("/ui/")


def _statements(site) -> int:
    sent = []

    def note(_connection, _cursor, statement, *_rest):
        sent.append(statement)

    event.listen(site.database.engine, "before_cursor_execute", note)
    try:
        site.text("/ui/")
    finally:
        event.remove(site.database.engine, "before_cursor_execute", note)
    return len(sent)
