"""The list of metrics: search, states, progress, and access by users of other orgs."""

import re
from html import unescape

import pytest

from anomify.clock import now_ms
from anomify.exclusion.editing import ExclusionFields, add_exclusion
from anomify.exclusion.predicate import ExclusionKind

HOSTILE = '"><svg onload=alert(1)>'


def names(text: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'<bdi class="name" title="([^"]*)"', text)]


@pytest.fixture
def stocked(site):
    site.make_metric("api.errors")
    site.make_metric('cpu{host="web-1",mode="idle"}', points_seen=37, last_value=0.25)
    site.make_metric("disk.old", judged_until_ms=now_ms() - 86_400_000)
    site.make_metric("just.arrived", points_seen=None)
    return site


class TestPage:
    def test_lists_metrics_by_name(self, stocked):
        text = stocked.text("/ui/metrics")
        assert names(text) == [
            "api.errors",
            'cpu{host="web-1",mode="idle"}',
            "disk.old",
            "just.arrived",
        ]
        assert "1\N{EN DASH}4 of 4 metrics" in text

    def test_shows_the_learning_progress_of_a_metric(self, stocked):
        text = stocked.text("/ui/metrics")
        assert '<progress max="100" value="37"' in text
        assert "37 of 100" in text

    def test_shows_the_state_of_other_metrics(self, stocked):
        text = stocked.text("/ui/metrics")
        assert set(re.findall(r'class="state is-(\w+)"', text)) == {
            *("judged", "learning", "stale", "waiting"),
        }

    def test_shows_until_when_a_metric_is_new(self, stocked):
        assert "New until" not in stocked.text("/ui/metrics")
        stocked.make_metric("new.queue", young_until_ms=now_ms() + 3 * 86_400_000)
        text = stocked.text("/ui/metrics")
        assert len(re.findall(r"New until <time datetime=", text)) == 1
        assert len(re.findall(r"New: until [^<]* only strong deviations are reported", text)) == 1

    def test_shows_which_rule_excludes_a_metric(self, stocked):
        with stocked.database.unit_of_work():
            requested = ExclusionFields(ExclusionKind.PREFIX, "disk.", reason="old <disks>")
            add_exclusion(stocked.cast.acme.id, requested, "Alice")
        sentence = "Excluded by the rule prefix disk. (old &lt;disks&gt;): its points are kept"
        text = stocked.text("/ui/metrics", state="excluded")
        assert names(text) == ["disk.old"]
        assert sentence in text
        assert sentence in stocked.text("/ui/metric", name="disk.old", range="1h")

    def test_shows_the_last_value_and_its_time(self, stocked):
        text = stocked.text("/ui/metrics", search="cpu")
        assert '<td class="number">0.25</td>' in text
        assert "Today" in text

    @pytest.mark.parametrize(
        ("requested", "found"),
        [
            ({"search": "ERR api"}, ["api.errors"]),
            ({"search": "web-1"}, ['cpu{host="web-1",mode="idle"}']),
            ({"search": "_"}, []),
            ({"state": "stale"}, ["disk.old"]),
            ({"state": "waiting"}, ["just.arrived"]),
            ({"state": "judged", "search": "disk"}, []),
        ],
    )
    def test_applies_the_filters(self, stocked, requested, found):
        assert names(stocked.text("/ui/metrics", **requested)) == found

    def test_counts_each_state(self, stocked):
        found = re.findall(r'>(\w+) <span class="count">(\d+)', stocked.text("/ui/metrics"))
        assert found == [
            *(("All", "4"), ("Judged", "1"), ("Learning", "1"), ("Stale", "1"), ("Waiting", "1")),
        ]

    def test_links_to_other_pages_keep_the_filters(self, site):
        for number in range(55):
            site.make_metric(f"many.{number:02}")
        text = site.text("/ui/metrics", search="many")
        assert "1\N{EN DASH}50 of 55" in text
        assert "/ui/metrics?search=many&amp;offset=50" in text
        assert len(names(site.text("/ui/metrics", search="many", offset=50))) == 5

    def test_hostile_names_are_escaped_and_link_to_their_page(self, site):
        site.make_metric(HOSTILE)
        text = site.text("/ui/metrics")
        assert "<svg onload" not in text
        link = unescape(re.search(r'href="(/ui/metric\?name=[^"]*)"', text)[1])
        assert "<h1" in site.text(link)

    def test_explains_an_empty_list_of_a_new_org(self, site):
        assert "No metrics yet" in site.text("/ui/metrics")

    def test_explains_an_empty_result_of_a_search(self, stocked):
        assert "No metric fits" in stocked.text("/ui/metrics", search="nothing like it")

    def test_shows_nothing_to_users_of_other_orgs(self, stocked):
        text = stocked.text("/ui/metrics", who="charlie")
        assert names(text) == []
        assert "No metrics yet" in text
