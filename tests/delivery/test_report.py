"""Summaries of watchers: what they count, to whom they are sent, and that each is sent once."""

from datetime import UTC, datetime, timedelta

import pytest

from anomify.anomaly.queries import list_anomalies
from anomify.clock import to_ms
from anomify.config import Settings
from anomify.contact_point.editing import ContactEditor
from anomify.db import session
from anomify.delivery.facts import Facts
from anomify.delivery.report import list_due_reports, send_report
from anomify.delivery.wording import message_of
from anomify.org.model import Org
from anomify.pipeline.announce import announcing
from anomify.watcher.contacts import WatcherContacts
from anomify.watcher.model import Watcher
from tests.delivery.deliveries import rows
from tests.factories import make_anomaly, make_metric, make_org, make_user, make_watcher

pytestmark = pytest.mark.usefixtures("unit")
# 10:00 in Berlin.
DUE = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def contacts(tmp_path) -> WatcherContacts:
    return WatcherContacts(ContactEditor(Settings(data_dir=tmp_path, secret_key="k" * 64)))


def reporting(*chips: str, **more: object) -> tuple[Org, Watcher]:
    org = make_org(timezone="Europe/Berlin")
    user = make_user(org)
    watcher = make_watcher(
        org,
        *chips,
        summary_report_frequency="daily-10:00",
        summary_report_user_ids=[user.id],
        reported_at=DUE - timedelta(days=1),
        severity="medium",
        **more,
    )
    return org, watcher


def begun(org: Org, name: str, at: datetime, minutes: int | None = 5, **more: object) -> None:
    anomaly = make_anomaly(make_metric(org, name), at, minutes=minutes, **more)
    with announcing(at) as notifier:
        notifier.opened(anomaly.span)


class TestSendReport:
    def test_counts_what_the_list_holds(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop")
        for hour in range(30):
            at = DUE - timedelta(hours=hour) - timedelta(minutes=1)
            begun(org, f"shop.{hour}", at, severity=("low", "medium", "high")[hour % 3])
        begun(org, "other", DUE - timedelta(hours=2))
        begun(org, "shop.open", DUE - timedelta(hours=1, minutes=30), None)

        assert [each.watcher_id for each in list_due_reports(DUE)] == [watcher.id]
        assert send_report(watcher.id, DUE, contacts) == 1

        [delivery] = rows()
        report = Facts.from_row(delivery.facts).report
        assert report is not None
        since_ms, until_ms = to_ms(DUE - timedelta(days=1)), to_ms(DUE)
        listed = list_anomalies(
            org.id,
            words=["shop"],
            least_severity="medium",
            from_ms=since_ms,
            until_ms=until_ms,
            limit=100,
        )
        in_list = [each for each in listed.items if to_ms(each.opened_at) >= since_ms]
        assert (report.anomaly_count, report.incident_count) == (len(in_list), 17)
        assert len(in_list) == 17
        assert (report.ongoing_count, report.ongoing[0].anomaly.metric_name) == (1, "shop.open")
        assert [each.incident.severity for each in report.top] == ["high"] * 5

    def test_is_sent_once(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop")
        begun(org, "shop.a", DUE - timedelta(hours=2))
        assert [send_report(watcher.id, DUE, contacts) for _ in range(3)] == [1, 0, 0]
        assert list_due_reports(DUE + timedelta(hours=23)) == []
        assert len(list_due_reports(DUE + timedelta(hours=24))) == 1

    def test_is_not_sent_when_nothing_has_happened(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop")
        begun(org, "other", DUE - timedelta(hours=2))
        assert send_report(watcher.id, DUE, contacts) == 0
        assert list_due_reports(DUE) == []

    def test_states_what_was_kept_quiet(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop")
        anomaly = make_anomaly(make_metric(org, "shop.a"), DUE - timedelta(days=2), minutes=None)
        anomaly.muted_at, anomaly.muted_severity = DUE - timedelta(hours=3), "high"
        session().flush()
        assert send_report(watcher.id, DUE, contacts) == 1
        report = Facts.from_row(rows()[0].facts).report
        assert report is not None
        assert (report.quiet_count, report.quiet_names) == (1, ("shop.a",))

    def test_counts_only_what_its_threshold_found(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop", threshold_operator="greater", threshold_value=1.0)
        begun(org, "shop.a", DUE - timedelta(hours=3))
        begun(org, "shop.b", DUE - timedelta(hours=2), watcher_id=watcher.id, severity="low")
        assert send_report(watcher.id, DUE, contacts) == 1
        report = Facts.from_row(rows()[0].facts).report
        assert report is not None
        assert [each.anomaly.metric_name for each in report.top] == ["shop.b"]

    def test_skips_people_who_want_no_mails_and_those_who_left(
        self, contacts: WatcherContacts
    ) -> None:
        org, watcher = reporting("shop")
        unwilling = make_user(org, "Bob", wants_email_alerts=False)
        watcher.summary_report_user_ids = [unwilling.id, 999_999]
        begun(org, "shop.a", DUE - timedelta(hours=2))
        assert send_report(watcher.id, DUE, contacts) == 0

    def test_reads_as_people_write(self, contacts: WatcherContacts) -> None:
        org, watcher = reporting("shop", name="Shop")
        begun(org, "shop.orders", DUE - timedelta(hours=2), minutes=90)
        send_report(watcher.id, DUE, contacts)
        facts = Facts.from_row(rows()[0].facts)
        message = message_of(facts, "https://an.example", message_id="1")
        assert message.subject == "Daily summary of Shop: 1 new anomaly in 1 incident"
        assert message.sentence == (
            "The watcher Shop of Acme had 1 new anomaly in 1 incident from 2026-11-19 10:00:00 CET"
            " to 2026-11-20 10:00:00 CET. Nothing goes on now."
        )
        [(name, line)] = message.lines
        assert name == "Severity high"
        assert line.startswith("shop.orders, at 2026-11-20 08:00:00 CET for 1 hour 30 minutes: ")
        assert "https://an.example/ui/incident/" in message.text
        assert message.data["report"]["anomaly_count"] == 1
