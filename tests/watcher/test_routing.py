import pytest

from anomify.clock import now
from anomify.watcher.routing import watchers_for
from tests.factories import make_org, make_watcher

pytestmark = pytest.mark.usefixtures("unit")


class TestWatchersFor:
    def test_finds_watchers_whose_chips_are_all_in_the_name(self) -> None:
        org = make_org()
        both = make_watcher(org, "CPU", "web1")
        make_watcher(org, "cpu", "web2")

        assert watchers_for(org.id, 'node_cpu{instance="web1"}', "high") == [both]

    @pytest.mark.parametrize(
        ("severity", "matching"), [("low", ["low"]), ("medium", ["low", "medium"])]
    )
    def test_finds_watchers_of_this_severity_or_a_lower_one(
        self, severity: str, matching: list[str]
    ) -> None:
        org = make_org()
        for least in ("low", "medium", "high"):
            make_watcher(org, "cpu", name=least, severity=least)

        assert [each.name for each in watchers_for(org.id, "cpu", severity)] == matching

    def test_leaves_out_watchers_that_do_not_alert_deleted_ones_and_other_orgs(self) -> None:
        org = make_org()
        make_watcher(org, "cpu", is_alerting=False)
        make_watcher(org, "cpu", deleted_at=now())
        make_watcher(make_org("Globex"), "cpu")

        assert watchers_for(org.id, "cpu", "high") == []
