"""The page of one metric: names, windows, anomalies, and access by users of other orgs."""

import math
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from anomify.clock import datetime_from_ms, now, now_ms, to_ms
from anomify.dashboard.metric_page import default_range
from anomify.delivery.facts import OPENED, facts_of_incident
from anomify.delivery.wording import message_of
from anomify.detection.detector import judge
from anomify.detection.state import EngineState
from anomify.detection.threshold import THRESHOLDS, Severity
from anomify.incident.queries import members_of
from anomify.metric.model import Metric, Progress
from anomify.metric.state import PARTITIONS, keep_checkpoint, pack_states
from anomify.metric.status import status_of
from tests.factories import (
    make_anomaly,
    make_contact_point,
    make_incident,
    make_metric,
    make_watcher,
)

ODD_NAMES = [
    "cpu.load",
    'http_requests_total{code="200",path="/a b/c?d=e&f"}',
    "büro/temperature/🌡",
    "a/../b",
    "..",
    "events",
    "50%.of+all",
    '"><svg onload=alert(1)>',
    '{"{{7*7}}"}',
]
MINUTE = 60_000
DAY_MS = 86_400_000


def query(location: str) -> dict[str, str]:
    return {name: found[0] for name, found in parse_qs(urlsplit(location).query).items()}


class TestPage:
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_shows_any_legal_name(self, site, name):
        site.make_metric(name)
        text = site.text("/ui/metric", name=name)
        assert "<svg onload" not in text
        found = re.search(r'data-name="([^"]*)"', text)
        assert unescape(found[1]) == name

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_the_urls_of_the_chart_data(self, site, name):
        site.make_metric(name)
        text = site.text("/ui/metric", name=name)
        bundle = unescape(re.search(r'data-bundle="([^"]*)"', text)[1])
        assert site.get(bundle).get_json()["data"]["metric"]["metric"] == name

    def test_shows_labels_apart(self, site):
        site.make_metric('cpu{host="web-1",mode="idle"}')
        text = site.text("/ui/metric", name='cpu{mode="idle", host="web-1"}')
        assert '<h1 class="metric-name"><bdi>cpu</bdi></h1>' in text
        assert '<b>host=</b>web-1</span><span class="chip" dir="auto"><b>mode=</b>idle' in text

    def test_shows_the_learning_progress(self, site):
        site.make_metric(points_seen=37)
        text = site.text("/ui/metric", name="cpu.load")
        assert "Learning: 37 of 100 points." in text
        assert '<progress max="100" value="37"' in text

    def test_tells_until_when_a_new_metric_reports_only_strong_deviations(self, site):
        until = datetime_from_ms(now_ms() // MINUTE * MINUTE) + timedelta(days=3, hours=20)
        site.make_metric(points_seen=300, young_until_ms=to_ms(until))
        for path in ("/ui/metric", "/ui/metric-events"):
            text = site.text(path, name="cpu.load")
            [found] = re.findall(r"<span>(Judged:.*)</span>", text)
            assert until.isoformat(timespec="seconds") in found
            assert re.sub("<[^>]*>", "", found) == (
                "Judged: every new point is compared with its own past. New: until"
                f" {until.day} {until:%b %H:%M} only strong deviations are reported."
            )

    def test_tells_how_often_strong_deviations_came_and_what_is_reported(self, site):
        count = 30 * 1440
        times = now_ms() // MINUTE * MINUTE - MINUTE * np.arange(count, dtype=np.int64)[::-1]
        random = np.random.default_rng(1)
        values = random.normal(100, 1, count)
        values[20 * 1440 + np.arange(9) * 1440 + random.integers(0, 1440, 9)] += 12
        state = EngineState.new(1)
        judge(state, np.zeros(count, np.int64), times, values)
        metric = site.make_metric(points_seen=count, resolution_ms=MINUTE)
        assert "the last three weeks" not in site.text("/ui/metric", name="cpu.load")
        with site.database.unit_of_work():
            ids, only = np.array([metric.id], np.int64), np.array([0])
            kept = pack_states(ids, lambda _: state.extract(only))
            keep_checkpoint(metric.id % PARTITIONS, 1, kept, now())
            low = make_anomaly(metric, now() - timedelta(hours=1), severity="low").id
            high = make_anomaly(metric, now() - timedelta(hours=3), severity="high").id
        for path in ("/ui/metric", "/ui/metric-events"):
            text = site.text(path, name="cpu.load", event=low, range="24h")
            [told] = re.findall(
                r"Deviations as strong as a low alert came about .*?usual is [0-9.]+\.", text
            )
            assert "A single point is therefore reported upwards from strength" in told
            assert re.search(r"As strong as a low alert came about [789] deviations in", text)
            assert "As strong as" not in site.text(path, name="cpu.load", event=high, range="24h")
        shown = site.get("/metric/cpu.load").get_json()["data"]["alarm_history"]
        assert shown["sentence"] == told
        assert 9 >= shown["low"] >= shown["medium"] >= shown["high"] >= 0
        assert shown["up_from"] > shown["usual_from"] == THRESHOLDS[Severity.LOW]

    def test_tells_that_an_anomaly_was_found_while_the_metric_was_new(self, site):
        before = site.make_metric("cpu.load", young_until_ms=now_ms() - 40 * MINUTE)
        still = site.make_metric("cpu.idle", young_until_ms=now_ms() + DAY_MS)
        with site.database.unit_of_work():
            hour_ago = make_anomaly(before, now() - timedelta(hours=1)).id
            lately = make_anomaly(before, now() - timedelta(minutes=20)).id
            new = make_anomaly(still, now() - timedelta(minutes=20)).id
        past = "Found while the metric was new, when only strong deviations were reported."
        assert past in site.text("/ui/metric", name="cpu.load", event=hour_ago, range="24h")
        assert "was new" not in site.text("/ui/metric", name="cpu.load", event=lately, range="24h")
        found = site.text("/ui/metric", name="cpu.idle", event=new, range="24h")
        assert "New metric: judged with care until <time" in found
        inbox = site.text("/ui/")
        assert inbox.count(past) == 1
        assert inbox.count("New metric: judged with care until <time") == 1

    def test_a_metric_without_judged_points_is_waiting(self, site):
        site.make_metric(points_seen=None)
        assert "Waiting:" in site.text("/ui/metric", name="cpu.load")

    def test_the_range_in_the_url_is_selected(self, site):
        site.make_metric()
        text = site.text("/ui/metric", name="cpu.load", range="7d")
        assert re.search(r'data-range="7d" aria-label="Last 7 days" aria-current="true"', text)
        assert text.count('aria-current="true"') == 1

    def test_with_a_window_in_the_url_no_range_is_selected(self, site):
        site.make_metric()
        window = {"from": 1_790_000_000, "until": 1_790_003_600}
        text = site.text("/ui/metric", name="cpu.load", **window)
        assert 'aria-current="true"' not in text
        assert "Reset" in text

    def test_one_end_of_a_window_is_enough(self, site):
        site.make_metric()
        for requested, shown in (
            ({"until": 1_790_003_600}, "from=1790000000&amp;until=1790003600"),
            ({"from": 1_790_000_000}, "from=1790000000&amp;until="),
        ):
            assert shown in site.text("/ui/metric", name="cpu.load", range="1h", **requested)

    @pytest.mark.parametrize(
        "requested",
        [
            {"range": "3y"},
            {"from": 20, "until": 10},
            {"from": 9_999_999_999},
            {"from": "x", "until": 10},
            {"event": "x"},
            {"event": 10**30},
        ],
    )
    def test_refuses_invalid_parameters_with_a_sentence(self, site, requested):
        site.make_metric()
        reply = site.get("/ui/metric", name="cpu.load", **requested)
        assert reply.status_code == 400
        assert "This address does not work" in reply.get_data(as_text=True)

    def test_a_metric_without_recent_points_is_shown_at_its_last_points(self, site):
        last_ms = now_ms() - 100 * DAY_MS
        site.make_metric(judged_until_ms=last_ms)
        reply = site.get("/ui/metric", name="cpu.load")
        assert reply.status_code == 302
        window = query(reply.location)
        assert int(window["from"]) < last_ms // 1000 < int(window["until"])

    def test_an_unknown_name_is_not_found(self, site):
        for name in ("nope", "a\nb", "{", "x" * 5_000):
            reply = site.get("/ui/metric", name=name)
            assert reply.status_code in {400, 404}
        assert "has no metric of this name" in site.get("/ui/metric", name="nope").text

    def test_is_not_found_for_users_of_other_orgs(self, site):
        site.make_metric()
        with site.database.unit_of_work():
            make_metric(site.cast.globex, "theirs")
        of_acme = site.get("/ui/metric", who="charlie", name="cpu.load")
        unknown = site.get("/ui/metric", who="charlie", name="nope")
        assert (of_acme.status_code, unknown.status_code) == (404, 404)
        assert _without_request(of_acme.text) == _without_request(unknown.text)
        assert site.get("/ui/metric-events", who="charlie", name="cpu.load").status_code == 404

    def test_links_in_messages_open_this_page(self, site):
        made = site.make_metric("..")
        with site.database.unit_of_work():
            anomaly = make_anomaly(made, now() - timedelta(hours=1))
            anomaly.span.metric = made
            acme = site.cast.acme
            result = facts_of_incident(
                OPENED,
                now(),
                acme,
                make_watcher(acme),
                make_contact_point(acme),
                incident := make_incident(anomaly),
                members_of(incident.id),
                [anomaly.span],
            )
        link = message_of(result, "", message_id="m1").data["metric"]["url"]
        assert "97.5 is far above" in site.text(link)

    def test_states_that_a_counter_is_shown_as_its_rate(self, site):
        site.make_metric("requests_total", is_counter=True)
        site.make_metric("load")
        assert "per second" in site.text("/ui/metric", name="requests_total")
        assert "per second" not in site.text("/ui/metric", name="load")


class TestEvents:
    @pytest.fixture
    def struck(self, site):
        """A metric with an anomaly half an hour ago, and one that is two days old."""
        site.metric = site.make_metric()
        with site.database.unit_of_work():
            site.recent = make_anomaly(site.metric, now() - timedelta(minutes=30))
            site.older = make_anomaly(
                site.metric, now() - timedelta(days=2), severity="low", explanation="The older one."
            )
        return site

    def test_lists_those_of_the_window(self, struck):
        assert "1 in this window" in struck.text("/ui/metric", name="cpu.load", range="24h")
        assert "2 in this window" in struck.text("/ui/metric", name="cpu.load", range="7d")

    def test_states_that_there_are_none(self, struck):
        text = struck.text("/ui/metric-events", name="cpu.load", range="1h")
        assert "1 in this window" in text
        window = {"from": 1_790_000_000, "until": 1_790_003_600}
        text = struck.text("/ui/metric-events", name="cpu.load", **window)
        assert "No anomalies in this window." in text

    def test_shows_the_selected_one(self, struck):
        requested = {"name": "cpu.load", "range": "7d", "event": struck.older.id}
        for path in ("/ui/metric", "/ui/metric-events"):
            text = struck.text(path, **requested)
            assert '<p class="explanation" dir="auto">The older one. Unusual from ' in text
            assert "10 to 40" in text
            assert text.count('class="is-selected"') == 1

    def test_shows_a_no_data_anomaly_with_its_last_value(self, struck):
        with struck.database.unit_of_work():
            silence = make_anomaly(
                struck.metric,
                now() - timedelta(minutes=20),
                minutes=None,
                is_silence=True,
                evidence="silent",
                expected_lower=-math.inf,
                expected_upper=math.inf,
                amount=1200.0,
                explanation="No data has come, though a point is due every 60 seconds.",
            )
        text = struck.text("/ui/metric", name="cpu.load", range="1h", event=silence.id)
        assert "<dt>Last value</dt>" in text
        assert "<dt>Expected</dt><dd>a point</dd>" in text
        assert "silent for 20 minutes" in text

    def test_an_event_alone_is_shown_in_its_own_window(self, struck):
        reply = struck.get("/ui/metric", name="cpu.load", event=struck.older.id)
        assert reply.status_code == 302
        window = query(reply.location)
        started = struck.older.span.started_ms // 1000
        assert int(window["from"]) < started < int(window["until"])
        assert window["event"] == str(struck.older.id)
        assert "The older one." in struck.text(reply.location)

    def test_an_event_of_another_metric_is_not_selected(self, struck):
        other = struck.make_metric("other")
        with struck.database.unit_of_work():
            foreign = make_anomaly(other, now(), explanation="Of another metric.")
        text = struck.text("/ui/metric", name="cpu.load", range="1h", event=foreign.id)
        assert "Of another metric." not in text

    def test_an_event_of_another_org_is_not_selected(self, struck):
        with struck.database.unit_of_work():
            theirs = make_metric(struck.cast.globex, "cpu.load")
            foreign = make_anomaly(theirs, now(), explanation="Of Globex.")
        text = struck.text("/ui/metric", name="cpu.load", range="1h", event=foreign.id)
        assert "Of Globex." not in text
        assert "Of Globex." in struck.text(
            "/ui/metric", who="charlie", name="cpu.load", range="1h", event=foreign.id
        )

    def test_the_parts_have_the_same_ids_as_in_the_page(self, struck):
        page = struck.text("/ui/metric", name="cpu.load", range="7d")
        parts = struck.text("/ui/metric-events", name="cpu.load", range="7d")
        for part in ("status", "events", "selected"):
            assert page.count(f'id="{part}"') == 1
            assert parts.count(f'id="{part}"') == 1
        assert "<html" not in parts


class TestDefaultRange:
    @pytest.mark.parametrize(
        ("points_seen", "resolution_seconds", "key"),
        [
            (0, 0, "1h"),
            (37, 60, "1h"),
            (200, 60, "6h"),
            (5_000, 60, "24h"),
            (5_000, 3_600, "7d"),
            (5_000, 86_400, "30d"),
        ],
    )
    def test_contains_enough_points_of_the_metric(self, points_seen, resolution_seconds, key):
        at = datetime(2026, 11, 20, tzinfo=UTC)
        progress = Progress(
            judged_until_ms=int(at.timestamp() * 1000),
            points_seen=points_seen,
            resolution_ms=resolution_seconds * 1000,
            has_ended=False,
            is_constant=False,
            learning_points=100,
            stale_after_ms=900_000,
            may_be_silent=False,
        )
        assert default_range(status_of(Metric(name="a"), progress, at)) == key

    def test_is_an_hour_for_a_waiting_metric(self):
        at = datetime(2026, 11, 20, tzinfo=UTC)
        assert default_range(status_of(Metric(name="a"), None, at)) == "1h"


def _without_request(text: str) -> str:
    return re.sub(r"Request <code>\w+</code>", "", text)
