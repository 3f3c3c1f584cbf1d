"""Admins are warned when metrics stop and told when they are back, never because we restarted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from anomify.admin_alert.alerts import update_alerts
from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.admin_alert.recipients import AlertSettingsChange, change_alert_settings
from anomify.admin_alert.settings import ALL_STOPPED, QUOTA_EXCEEDED, SOME_STOPPED
from anomify.config import Settings
from anomify.db import Database, session
from anomify.metric.model import Progress
from anomify.org.heartbeat import record_heartbeat
from anomify.org.letter import claim_letters
from anomify.org.model import Letter, Org
from anomify.org.muting import mute_org
from anomify.org.quota_refusal import note_refusals
from anomify.org.sealing import ROWS_PURPOSE
from anomify.worker.admin_alerts import AdminAlertMonitor
from anomify.worker.letters import LetterSender
from tests.factories import make_metric, make_org, make_user
from tests.kit.smtpsink import smtp_sink

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEP = 30
URL = "https://anomify.example"


@dataclass
class Site:
    """An org whose metrics report once a minute, unless they are told not to."""

    database: Database
    clock: time_machine.Traveller
    org_id: int
    metric_ids: list[int]
    admin_alert_monitor: AdminAlertMonitor
    at: datetime = NOON

    def run(self, minutes: float, *, reporting: list[int] | None = None, step: int = STEP) -> None:
        """Let time go by in steps of so many seconds."""
        reporting = self.metric_ids if reporting is None else reporting
        for _ in range(int(minutes * 60 / step)):
            self.at += timedelta(seconds=step)
            self.clock.move_to(self.at)
            if self.at.second == 0 and reporting:
                self.report(reporting)
            self.admin_alert_monitor.look()

    def sleep(self, minutes: float) -> None:
        """Let time go by while nobody is there, neither senders nor we."""
        self.at += timedelta(minutes=minutes)
        self.clock.move_to(self.at)

    def silent_for(self, **length: int) -> None:
        """Let those that are missed have been silent for so long."""
        with self.database.unit_of_work():
            for row in session().scalars(select(SilentMetric)):
                row.silent_since = self.at - timedelta(**length)

    def report(self, metric_ids: list[int]) -> None:
        at_ms = int(self.at.timestamp() * 1000)
        with self.database.unit_of_work():
            for metric_id in metric_ids:
                session().merge(
                    Progress(
                        metric_id=metric_id,
                        judged_until_ms=at_ms,
                        points_seen=500,
                        last_value=1.0,
                        resolution_ms=60_000,
                        stale_after_ms=300_000,
                    )
                )

    def restart(self) -> None:
        self.admin_alert_monitor = AdminAlertMonitor(self.database, URL)

    def raised(self) -> list[tuple[int, bool]]:
        with self.database.unit_of_work(write=False):
            rows = session().scalars(select(RaisedAlert).order_by(RaisedAlert.id))
            return [(row.type_id, row.recovered_at is not None) for row in rows]

    def letters(self) -> list[tuple[str, str, str]]:
        """Take what was written: to whom, about what, and the text."""
        with self.database.unit_of_work():
            claimed = claim_letters(self.at + timedelta(seconds=1), 100)
            found = [(one.to, one.subject, one.text) for one in claimed]
            session().query(Letter).delete()
            return sorted(found)

    def subjects(self) -> list[str]:
        return [subject for _, subject, _ in self.letters()]


@pytest.fixture
def site(database: Database, tmp_path) -> Iterator[Site]:
    settings = Settings(data_dir=tmp_path, secret_key="k" * 64)
    database.sealing_key = settings.key_for(ROWS_PURPOSE)
    with time_machine.travel(NOON, tick=False) as clock:
        with database.unit_of_work():
            org = make_org()
            make_user(org, "Alice", "owner", email="alice@acme.example")
            make_user(org, "Bob", "editor", email="bob@acme.example")
            ids = [make_metric(org, f"m{number}").id for number in range(4)]
            record_heartbeat("before", NOON - timedelta(seconds=5), log_offset=0, lag_seconds=0)
        found = Site(database, clock, org.id, ids, AdminAlertMonitor(database, URL))
        found.report(ids)
        found.run(3)
        yield found


class TestAllStopped:
    def test_is_raised_after_the_wait_and_told_to_admins_once(self, site: Site) -> None:
        site.run(8, reporting=[])
        assert (site.raised(), site.letters()) == ([], [])
        site.run(1, reporting=[])
        assert site.raised() == [(ALL_STOPPED, False)]
        [(to, subject, text)] = site.letters()
        assert (to, subject) == ("alice@acme.example", "Acme: All metrics have stopped")
        assert "since 2026-11-20 12:03:00 UTC" in text
        assert "- m0, last heard of" in text
        assert f"{URL}/ui/adminalert?code=" in text
        site.run(120, reporting=[], step=60)
        assert site.letters() == []
        assert site.raised() == [(ALL_STOPPED, False)]

    def test_is_over_and_told_with_the_first_that_reports(self, site: Site) -> None:
        site.run(10, reporting=[])
        site.letters()
        site.run(2, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True)]
        assert site.subjects() == ["Acme: Metrics report again"]
        # The others have as long as ever to come back before they are missed.
        site.run(6, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True)]
        site.run(4, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True), (SOME_STOPPED, False)]


class TestSomeStopped:
    def test_names_those_that_stopped_while_others_went_on(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        [(_, subject, text)] = site.letters()
        assert subject == "Acme: Some metrics have stopped"
        assert "- m0, last heard of 2026-11-20 12:03:00 UTC" in text
        assert "m1" not in text

    def test_is_over_and_told_when_the_last_of_them_is_back(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[2:])
        site.letters()
        site.run(2, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        site.run(2)
        assert site.raised() == [(SOME_STOPPED, True)]
        [(_, subject, text)] = site.letters()
        assert subject == "Acme: Stopped metrics are back"
        assert text.startswith("2 metrics of Acme that had stopped report again.")

    def test_is_told_at_most_once_per_expiration_however_it_flaps(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert len(site.letters()) == 1
        for _ in range(2):
            site.run(2)
            site.run(10, reporting=site.metric_ids[1:])
        assert "Acme: Some metrics have stopped" not in site.subjects()
        site.run(45, reporting=site.metric_ids[1:], step=60)
        assert site.subjects() == ["Acme: Some metrics have stopped"]

    def test_tells_of_more_once_the_expiration_is_over(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        site.run(45, reporting=site.metric_ids[2:], step=60)
        assert site.letters() == []
        site.run(20, reporting=site.metric_ids[2:])
        [(_, _, text)] = site.letters()
        assert "- m1, " in text
        assert "- m0, " not in text

    def test_lets_go_of_what_was_silent_for_a_day_with_a_notice(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        site.silent_for(hours=23, minutes=55)
        site.run(4, reporting=site.metric_ids[1:])
        assert site.letters() == []
        site.run(2, reporting=site.metric_ids[1:])
        [(_, subject, text)] = site.letters()
        assert subject == "Acme: 1 metric silent for a day"
        assert "- m0" in text
        assert site.raised() == [(SOME_STOPPED, True)]
        site.run(10, reporting=site.metric_ids[1:], step=60)
        assert site.letters() == []
        # It is a metric like any other as soon as it reports again.
        site.run(5)
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, True), (SOME_STOPPED, False)]

    def test_misses_no_metric_whose_series_has_ended_or_that_may_be_silent(
        self, site: Site
    ) -> None:
        with site.database.unit_of_work():
            session().get_one(Progress, site.metric_ids[0]).has_ended = True
            session().get_one(Progress, site.metric_ids[1]).may_be_silent = True
        site.run(20, reporting=site.metric_ids[2:])
        assert site.raised() == []

    def test_waits_for_a_slow_metric_as_long_as_it_needs(self, site: Site) -> None:
        with site.database.unit_of_work():
            session().get_one(Progress, site.metric_ids[0]).stale_after_ms = 3_600_000
        site.run(59, reporting=site.metric_ids[1:], step=60)
        assert site.raised() == []
        site.run(2, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]

    def test_takes_history_for_no_metric_that_reports(self, site: Site) -> None:
        with site.database.unit_of_work():
            org = session().get_one(Org, site.org_id)
            old = make_metric(org, "history").id
            session().add(
                Progress(
                    metric_id=old,
                    judged_until_ms=int((site.at - timedelta(days=3)).timestamp() * 1000),
                    points_seen=500,
                    last_value=1.0,
                    resolution_ms=60_000,
                    stale_after_ms=300_000,
                )
            )
        site.run(30, step=60)
        assert site.raised() == []


class TestOurOwnAbsence:
    """Worker down is not metrics silent."""

    def test_a_restart_after_hours_warns_of_nobody_who_comes_back(self, site: Site) -> None:
        site.sleep(180)
        site.restart()
        site.run(7, reporting=[])
        assert site.raised() == []
        site.run(60, step=60)
        assert (site.raised(), site.letters()) == ([], [])

    def test_what_was_missed_before_it_may_come_back_before_it_leaves(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        site.sleep(60 * 25)
        site.restart()
        site.run(5)
        assert site.raised() == [(SOME_STOPPED, True)]
        assert site.subjects() == ["Acme: Stopped metrics are back"]

    def test_a_pause_without_a_restart_is_the_same(self, site: Site) -> None:
        site.sleep(180)
        site.run(7, reporting=[])
        site.run(10)
        assert site.raised() == []

    def test_who_does_not_come_back_after_it_is_missed(self, site: Site) -> None:
        site.sleep(180)
        site.restart()
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]

    def test_what_is_raised_stays_so_and_is_not_told_again(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert len(site.letters()) == 1
        for _ in range(3):
            site.restart()
            site.run(12, step=60, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        assert site.letters() == []
        site.restart()
        site.run(2)
        assert site.subjects() == ["Acme: Stopped metrics are back"]

    def test_an_org_that_was_dead_before_we_came_is_left_alone(self, site: Site) -> None:
        site.sleep(60 * 26)
        with site.database.unit_of_work():
            record_heartbeat("before", site.at, log_offset=0, lag_seconds=0)
        site.restart()
        site.run(20, reporting=[])
        assert site.raised() == []


class TestWishes:
    def change(self, site: Site, type_id: int, **change: object) -> None:
        with site.database.unit_of_work():
            change_alert_settings(
                site.org_id, type_id, AlertSettingsChange(**change), actor="Alice"
            )

    def test_nothing_is_raised_where_nobody_wants_it(self, site: Site) -> None:
        self.change(site, SOME_STOPPED, is_enabled=False)
        site.run(20, reporting=site.metric_ids[1:])
        assert site.raised() == []
        self.change(site, SOME_STOPPED, is_enabled=True)
        site.run(1, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        self.change(site, SOME_STOPPED, is_enabled=False)
        site.letters()
        site.run(1, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, True)]
        assert site.letters() == []

    def test_the_wait_and_who_is_told_are_the_orgs(self, site: Site) -> None:
        with site.database.unit_of_work():
            org = session().get_one(Org, site.org_id)
            carol = make_user(org, "Carol", "viewer", email="carol@acme.example")
        self.change(site, ALL_STOPPED, wait_seconds=1800, email_user_ids=[carol.id])
        site.run(29, reporting=[], step=60)
        assert site.raised() == []
        site.run(2, reporting=[])
        assert [to for to, _, _ in site.letters()] == ["carol@acme.example"]

    def test_a_muted_org_is_told_when_the_mute_is_over_of_what_still_is(self, site: Site) -> None:
        with site.database.unit_of_work():
            mute_org(site.org_id, 60, actor="Alice")
        site.run(10, reporting=site.metric_ids[1:])
        site.run(5)
        site.run(30, step=60, reporting=site.metric_ids[2:])
        assert site.raised() == [(SOME_STOPPED, True), (SOME_STOPPED, False)]
        assert site.letters() == []
        site.run(20, reporting=site.metric_ids[2:])
        assert site.subjects() == ["Acme: Some metrics have stopped"]


class TestQuota:
    def refuse(self, site: Site, *names: str) -> None:
        with site.database.unit_of_work():
            note_refusals(site.org_id, names)

    def test_is_raised_at_once_and_over_an_hour_after_the_last_refusal(self, site: Site) -> None:
        self.refuse(site, "new.one", "new.two")
        site.run(1)
        assert site.raised() == [(QUOTA_EXCEEDED, False)]
        [(to, subject, text)] = site.letters()
        assert (to, subject) == ("alice@acme.example", "Acme: The metric quota is exceeded")
        assert "- new.one\n- new.two" in text
        site.run(40, step=60)
        self.refuse(site, "new.three")
        site.run(59, step=60)
        assert site.raised() == [(QUOTA_EXCEEDED, False)]
        assert site.letters() == []
        site.run(3)
        assert site.raised() == [(QUOTA_EXCEEDED, True)]
        assert site.letters() == []


class TestSeeTo:
    def test_does_nothing_when_it_is_said_again(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        with site.database.unit_of_work():
            update_alerts([], site.at, URL)
        with site.database.unit_of_work(write=False):
            assert session().scalar(select(func.count()).select_from(SilentMetric)) == 1
        assert site.raised() == [(SOME_STOPPED, False)]
        assert site.letters() == []


class TestOverSmtp:
    def test_an_alert_and_its_end_arrive_as_mails(self, site: Site) -> None:
        site.run(10, reporting=[])
        site.run(1)
        with smtp_sink() as sink:
            settings = Settings(
                secret_key="k" * 64,
                smtp_host="127.0.0.1",
                smtp_port=sink.port,
                smtp_starttls=False,
                mail_from="anomify@acme.example",
            )
            site.database.sealing_key = settings.key_for(ROWS_PURPOSE)
            letter_sender = LetterSender(site.database, settings)
            while letter_sender.run_once():
                pass
        assert [(mail["To"], mail["Subject"]) for mail in sink.mails] == [
            ("alice@acme.example", "Acme: All metrics have stopped"),
            ("alice@acme.example", "Acme: Metrics report again"),
        ]
