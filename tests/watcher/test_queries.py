from datetime import UTC, datetime, timedelta

import pytest

from anomify.clock import now
from anomify.errors import NotFound
from anomify.watcher.queries import (
    WatchedCounts,
    WatcherOrder,
    contacts_of,
    counts_by_watcher,
    get_watcher,
    linked_contacts,
    list_watchers,
    names_containing,
)
from tests.factories import (
    link_contact,
    make_anomaly,
    make_contact_point,
    make_metric,
    make_org,
    make_watcher,
)

pytestmark = pytest.mark.usefixtures("unit")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class TestGetWatcher:
    @pytest.mark.parametrize("watcher_id", [0, -1, 2**31, 2**70])
    def test_does_not_find_an_impossible_id(self, watcher_id: int) -> None:
        with pytest.raises(NotFound):
            get_watcher(make_org().id, watcher_id)


class TestListWatchers:
    def test_lists_the_newest_first_page_by_page(self) -> None:
        org = make_org()
        made = [make_watcher(org, name=str(number)) for number in range(3)]
        make_watcher(make_org("Globex"))

        page = list_watchers(org.id, limit=2)

        assert ([each.name for each in page.items], page.total) == (["2", "1"], 3)
        assert list_watchers(org.id, limit=2, offset=2).items == [made[0]]

    def test_lists_them_in_the_requested_order(self) -> None:
        org = make_org()
        for name in ("b", "C", "a"):
            make_watcher(org, name=name)

        listed = {
            order: [each.name for each in list_watchers(org.id, order=order).items]
            for order in WatcherOrder
        }

        assert listed == {
            "newest": ["a", "C", "b"],
            "oldest": ["b", "C", "a"],
            "name": ["a", "b", "C"],
        }

    def test_lists_deleted_ones_only_on_request(self) -> None:
        org = make_org()
        deleted = make_watcher(org, deleted_at=now())

        assert list_watchers(org.id).items == []
        assert list_watchers(org.id, with_deleted=True).items == [deleted]


class TestNamesContaining:
    def test_ignores_case_in_every_alphabet_and_has_no_wildcards(self) -> None:
        org = make_org()
        for name in ("Verkehr.Höhe", "disk%used", "diskXused", "disk_used"):
            make_metric(org, name)
        make_metric(make_org("Globex"), "disk%used")

        assert names_containing(org.id, ["HÖHE"]) == ["Verkehr.Höhe"]
        assert names_containing(org.id, ["Disk%"]) == ["disk%used"]
        assert names_containing(org.id, ["k_u"]) == ["disk_used"]


class TestCountsByWatcher:
    def test_counts_metrics_and_their_recent_anomalies(self) -> None:
        org = make_org()
        cpu, load = make_metric(org, "cpu.user"), make_metric(org, "load")
        make_metric(org, "cpu.idle")
        make_anomaly(cpu, NOON)
        make_anomaly(cpu, NOON - timedelta(days=8))
        make_anomaly(load, NOON)
        unknown = make_metric(make_org("Globex"), "cpu.user")
        make_anomaly(unknown, NOON)
        watchers = [make_watcher(org, "CPU"), make_watcher(org, "nothing")]

        counts = counts_by_watcher(org.id, watchers, NOON - timedelta(days=7))

        assert [counts[each.id] for each in watchers] == [WatchedCounts(2, 1), WatchedCounts(0, 0)]


class TestContactsOf:
    def test_returns_the_contact_points_of_each_watcher_by_step(self) -> None:
        org = make_org()
        first, second, third = (make_watcher(org) for _ in range(3))
        late = make_contact_point(org)
        early = make_contact_point(org)
        link_contact(first, late, 2)
        link_contact(first, early)
        link_contact(second, early, 1)

        found = contacts_of([first.id, second.id, third.id])

        assert found == {first.id: [(0, early), (2, late)], second.id: [(1, early)], third.id: []}

    def test_leaves_out_deleted_and_stopped_ones(self) -> None:
        org = make_org()
        watcher = make_watcher(org)
        for more in ({"deleted_at": now()}, {"stopped_at": now()}):
            link_contact(watcher, make_contact_point(org, **more))

        assert contacts_of([watcher.id]) == {watcher.id: []}
        assert len(linked_contacts([watcher.id])[watcher.id]) == 1
