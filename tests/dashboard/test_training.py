"""The question below an anomaly: who may answer it, how it is answered, and taken back."""

import re
from datetime import timedelta
from html import unescape

import numpy as np
import pytest

from anomify.clock import now, now_ms, to_ms
from anomify.db import session
from anomify.job.model import PENDING
from anomify.pattern.model import Pattern, Scope, Training
from tests.factories import make_anomaly, make_match, make_pattern

MINUTE = 60_000
QUESTION = "Was this behaviour expected?"


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def post(site, path: str, who: str = "alice", **fields):
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    return site.browser(who).post(path, data=fields, headers=headers)


def struck(site, name: str = "shop.import", hours: int = 30, **more):
    """An anomaly of ten minutes that ended an hour ago, and the points of so many hours."""
    metric = site.make_metric(name)
    end = now_ms() // MINUTE * MINUTE
    started = end - 70 * MINUTE
    times = end - MINUTE * np.arange(hours * 60, dtype=np.int64)[::-1]
    inside = (times >= started) & (times < started + 10 * MINUTE)
    values = 100 + 50.0 * inside + np.random.default_rng(1).normal(0, 1, len(times))
    site.send(metric.id, *zip(times.tolist(), values.tolist(), strict=True))
    with site.database.unit_of_work():
        at = now() - timedelta(milliseconds=to_ms(now()) - started)
        found = make_anomaly(
            metric, at, minutes=10, **{"expected_lower": 95.0, "expected_upper": 105.0, **more}
        )
        found.span.started_ms = started
        found.span.last_over_ms = started + 9 * MINUTE
        found.span.value = 150.0
    return metric, found


def shown(site, name: str, anomaly_id: int, who: str = "alice", **query: str) -> str:
    window = {"from": now_ms() // 1000 - 86_400, "until": now_ms() // 1000}
    return site.text("/ui/metric", who, name=name, event=anomaly_id, **window, **query)


class TestQuestion:
    def test_is_asked_with_the_windows_that_are_possible(self, site):
        metric, anomaly = struck(site)
        text = shown(site, metric.name, anomaly.id)
        assert QUESTION in text
        boxes = re.findall(r'name="durations" value="(\w+)"( checked)?( disabled)?', text)
        assert boxes == [("24h", " checked", ""), ("7d", "", " disabled"), ("30d", "", " disabled")]
        assert "The metric has too few points before it for this window." in text

    def test_is_open_where_a_message_leads_to(self, site):
        metric, anomaly = struck(site)
        assert "data-question>" in shown(site, metric.name, anomaly.id)
        asked = shown(site, metric.name, anomaly.id, ask="true")
        assert "data-question open>" in asked
        assert "autofocus" in asked

    def test_asks_about_the_family_of_a_metric_with_labels_only(self, site):
        plain, first = struck(site)
        assert 'value="family"' not in shown(site, plain.name, first.id)
        labelled, second = struck(site, 'disk{host="a"}')
        assert 'value="family"' in shown(site, labelled.name, second.id)

    def test_states_why_it_cannot_be_answered(self, site):
        metric = site.make_metric()
        with site.database.unit_of_work():
            old = make_anomaly(metric, now() - timedelta(days=20))
            silent = make_anomaly(metric, now() - timedelta(hours=2), is_silence=True)
        text = words(shown(site, metric.name, old.id))
        assert "This cannot be answered. It ended over 14 days ago" in text
        assert "No points of it are stored" in words(shown(site, metric.name, silent.id))

    def test_is_not_asked_of_a_viewer(self, site):
        metric, anomaly = struck(site)
        text = shown(site, metric.name, anomaly.id, "dave")
        assert "Nobody has said yet. Editors, admins and owners" in text
        assert "/ui/anomaly/train" not in text

    def test_is_part_of_what_the_page_loads_again(self, site):
        metric, anomaly = struck(site)
        text = site.text("/ui/metric-events", name=metric.name, event=anomaly.id)
        assert '<div id="training">' in text
        assert QUESTION in text


class TestAnswer:
    @pytest.mark.parametrize("who", ["alice", "bob"])
    def test_expected_makes_a_pattern(self, site, who):
        metric, anomaly = struck(site)
        fields = {"anomaly_id": anomaly.id, "durations": ["24h", "30d"], "label": "Import"}
        reply = post(site, "/ui/anomaly/train", who, expected="true", **fields)
        assert reply.status_code == 303
        assert reply.location == f"/ui/metric?name=shop.import&event={anomaly.id}"
        with site.database.unit_of_work(write=False):
            [pattern] = session().query(Pattern).all()
            assert (pattern.label, pattern.positive) == ("Import", False)
            assert pattern.creator_user_id is not None
            [waiting] = session().query(Training).all()
            assert waiting.state == PENDING
        text = words(shown(site, metric.name, anomaly.id))
        assert "Expected: Import" in text
        assert f"{who.capitalize()} said so today" in text
        assert "Learnt from 24 hours ." in text
        assert "The pattern of 30 days is made" in text
        assert "Take it back" in text

    def test_unexpected_is_shown_as_such(self, site):
        metric, anomaly = struck(site)
        post(site, "/ui/anomaly/train", anomaly_id=anomaly.id, expected="false")
        text = words(shown(site, metric.name, anomaly.id))
        assert "What is like it is always reported." in text
        assert "Unexpected" in words(site.text("/ui/"))

    def test_applies_to_the_family_where_that_was_chosen(self, site):
        _, anomaly = struck(site, 'disk{host="a"}')
        fields = {"anomaly_id": anomaly.id, "expected": "true", "scope": "family"}
        assert post(site, "/ui/anomaly/train", **fields).status_code == 303
        with site.database.unit_of_work(write=False):
            assert {one.scope for one in session().query(Pattern)} == {Scope.FAMILY}

    def test_is_taken_back(self, site):
        metric, anomaly = struck(site)
        post(site, "/ui/anomaly/train", anomaly_id=anomaly.id, expected="true")
        reply = post(site, "/ui/anomaly/untrain", anomaly_id=anomaly.id)
        assert reply.status_code == 303
        assert QUESTION in shown(site, metric.name, anomaly.id)
        with site.database.unit_of_work(write=False):
            assert {one.state for one in session().query(Pattern)} == {"disabled"}
        assert post(site, "/ui/anomaly/untrain", anomaly_id=anomaly.id).status_code == 409

    def test_is_refused_of_viewers_other_orgs_and_other_sites(self, site):
        _, anomaly = struck(site)
        fields = {"anomaly_id": anomaly.id, "expected": "true"}
        assert post(site, "/ui/anomaly/train", "dave", **fields).status_code == 403
        assert post(site, "/ui/anomaly/train", "charlie", **fields).status_code == 404
        assert (
            post(site, "/ui/anomaly/untrain", "charlie", anomaly_id=anomaly.id).status_code == 404
        )
        headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        reply = site.browser().post("/ui/anomaly/train", data=fields, headers=headers)
        assert reply.status_code == 403
        with site.database.unit_of_work(write=False):
            assert session().query(Pattern).count() == 0


class TestMetricPage:
    def test_lists_matches_and_patterns(self, site):
        metric, _ = struck(site)
        with site.database.unit_of_work():
            pattern = make_pattern(metric, label="Import")
            match = make_match(pattern, now() - timedelta(hours=3), minutes=10)
        text = site.text("/ui/metric", name=metric.name, range="24h")
        assert f'data-match="{match.id}"' in text
        assert "1 in this window, explained by patterns and not reported" in text
        assert f'href="/ui/pattern/{pattern.id}"' in text

    def test_shows_a_selected_match_and_a_selected_pattern(self, site):
        metric, _ = struck(site)
        with site.database.unit_of_work():
            pattern = make_pattern(metric, label="Import")
            match = make_match(pattern, now() - timedelta(hours=3), minutes=10)
        reply = site.get("/ui/metric", name=metric.name, match=match.id)
        assert f"match={match.id}" in reply.location
        text = words(site.text(reply.location))
        assert "Selected match" in text
        assert "Like “Import”, marked as expected by Alice" in text
        reply = site.get("/ui/metric", name=metric.name, pattern=pattern.id)
        assert "Selected pattern" in words(site.text(reply.location))

    def test_selects_nothing_of_another_metric_or_org(self, site):
        metric, _ = struck(site)
        other = site.make_metric("other")
        with site.database.unit_of_work():
            pattern = make_pattern(other, label="Secret")
            match = make_match(pattern, now() - timedelta(hours=3))
        for selected in ({"match": match.id}, {"pattern": pattern.id}):
            text = site.text("/ui/metric", name=metric.name, range="24h", **selected)
            assert "Secret" not in text

    def test_states_which_pattern_closed_an_anomaly(self, site):
        metric, anomaly = struck(site)
        with site.database.unit_of_work() as unit:
            pattern = make_pattern(metric, label="Import")
            unit.merge(anomaly.span).ended_by_pattern_id = pattern.id
        text = words(shown(site, metric.name, anomaly.id))
        assert "Closed, because it is like “Import” ." in text
        assert "Matched" in words(site.text("/ui/", state="matched"))


class TestInbox:
    def test_lists_what_people_called_expected(self, site):
        metric, anomaly = struck(site)
        assert "Expected 0" in words(site.text("/ui/"))
        post(site, "/ui/anomaly/train", anomaly_id=anomaly.id, expected="true", label="Import")
        assert "Expected 1" in words(site.text("/ui/"))
        text = words(site.text("/ui/", state="trained"))
        assert metric.name in text
        assert "Expected: Import" in text
