"""The activity feed lists everything that happened, the latest first, with stable ids."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from anomify.admin_alert.model import RaisedAlert
from anomify.anomaly.activity import list_activity
from anomify.audit.recording import record_audit
from anomify.db import session
from anomify.org.event import ReportedEvent, record_event
from tests.factories import make_anomaly, make_metric, make_org

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def after(minutes):
    return NOON + timedelta(minutes=minutes)


@pytest.fixture
def org(unit):
    """An org in which one thing of each kind happened, ten minutes apart."""
    del unit
    org = make_org()
    make_anomaly(make_metric(org), NOON, minutes=10)
    record_event(org.id, ReportedEvent("deploy", "v2 is live", after(20)), actor="token:ci")
    with time_machine.travel(after(30), tick=False):
        record_audit(org.id, actor="Alice", action="watcher.update", target="Load")
        record_audit(org.id, actor="Alice", action="user.login")
    session().add(
        RaisedAlert(
            org_id=org.id,
            type_id=2,
            code="c" * 32,
            raised_at=after(40),
            began_at=after(30),
            recovered_at=after(50),
        )
    )
    session().flush()
    other = make_org("Globex")
    make_anomaly(make_metric(other), NOON)
    record_event(other.id, ReportedEvent("deploy", "theirs", after(20)), actor="Charlie")
    return org


def feed(org, **more):
    window = {"from_at": NOON, "until_at": after(60)}
    return list_activity(org.id, **{**window, **more})


class TestListActivity:
    def test_merges_anomalies_events_changes_and_alerts(self, org):
        page = feed(org)
        assert [(one.type, one.actor) for one in page.items] == [
            ("adminalert.recovered", "Anomify"),
            ("adminalert.raised", "Anomify"),
            ("watcher.update", "Alice"),
            ("deploy", "token:ci"),
            ("anomaly.ended", "Anomify"),
            ("anomaly.opened", "Anomify"),
        ]
        assert page.total == 6
        assert [one.at for one in page.items] == [after(50 - 10 * place) for place in range(6)]
        wording = {one.type: one.text for one in page.items}
        assert wording["watcher.update"] == "Changed watcher Load."
        assert wording["anomaly.ended"] == "Back to normal after 10 minutes."
        assert wording["adminalert.raised"] == "Some metrics have stopped."
        assert page.items[-1].metric == "cpu.load"

    def test_leaves_out_sign_ins(self, org):
        assert "user.login" not in {one.type for one in feed(org).items}
        assert feed(org, types=["user"]).total == 0

    def test_pages_together_are_the_whole_list(self, org):
        whole = [one.id for one in feed(org).items]
        pages = [feed(org, limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert [one.id for page in pages for one in page.items] == whole
        assert {page.total for page in pages} == {6}

    @pytest.mark.parametrize(
        ("types", "found"),
        [
            (["anomaly"], ["anomaly.ended", "anomaly.opened"]),
            (["anomaly.opened", "deploy"], ["deploy", "anomaly.opened"]),
            (["watcher"], ["watcher.update"]),
            (["adminalert.raised"], ["adminalert.raised"]),
            (["custom", "nothing"], []),
        ],
    )
    def test_filters_by_type_or_its_first_word(self, org, types, found):
        page = feed(org, types=types)
        assert [one.type for one in page.items] == found
        assert page.total == len(found)

    def test_returns_only_entries_of_the_window(self, org):
        page = feed(org, from_at=after(10), until_at=after(30))
        assert [one.type for one in page.items] == ["deploy", "anomaly.ended"]
