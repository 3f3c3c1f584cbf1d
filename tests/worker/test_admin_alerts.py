"""Admins are alerted when metrics stop and when they return, never because the server restarted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from anomify.admin_alert.kinds import ALL_STOPPED, QUOTA_EXCEEDED, SOME_STOPPED
from anomify.admin_alert.model import RaisedAlert, SilentMetric
from anomify.admin_alert.settings import AlertSettingsChange, change_alert_settings
from anomify.admin_alert.update_alerts import update_alerts
from anomify.config import Settings
from anomify.db import Database, session
from anomify.detection.state import YOUNG_SECONDS
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
    """An org whose metrics report once a minute, unless a test stops them."""

    database: Database
    clock: time_machine.Traveller
    org_id: int
    metric_ids: list[int]
    admin_alert_monitor: AdminAlertMonitor
    at: datetime = NOON

    def run(self, minutes: float, *, reporting: list[int] | None = None, step: int = STEP) -> None:
        """Advance the clock for `minutes`, in steps of `step` seconds."""
        reporting = self.metric_ids if reporting is None else reporting
        for _ in range(int(minutes * 60 / step)):
            self.at += timedelta(seconds=step)
            self.clock.move_to(self.at)
            if self.at.second == 0 and reporting:
                self.report(reporting)
            self.admin_alert_monitor.run_once()

    def sleep(self, minutes: float) -> None:
        """Advance the clock while neither senders nor the worker run."""
        self.at += timedelta(minutes=minutes)
        self.clock.move_to(self.at)

    def silent_for(self, **length: int) -> None:
        """Backdate the silence of all metrics that have stopped."""
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
        """Return recipient, subject and text of every letter written, and delete the letters."""
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
    def test_is_raised_after_the_wait_with_one_letter_to_admins(self, site: Site) -> None:
        site.run(8, reporting=[])
        assert (site.raised(), site.letters()) == ([], [])
        site.run(1, reporting=[])
        assert site.raised() == [(ALL_STOPPED, False)]
        [(to, subject, text)] = site.letters()
        assert (to, subject) == ("alice@acme.example", "Acme: All metrics have stopped")
        assert "since 2026-11-20 12:03:00 UTC" in text
        assert "- m0, last reported" in text
        assert f"{URL}/ui/adminalert?code=" in text
        site.run(120, reporting=[], step=60)
        assert site.letters() == []
        assert site.raised() == [(ALL_STOPPED, False)]

    def test_recovers_with_a_letter_when_the_first_metric_reports(self, site: Site) -> None:
        site.run(10, reporting=[])
        site.letters()
        site.run(2, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True)]
        assert site.subjects() == ["Acme: Metrics report again"]
        # The others have their whole wait again before an alert is raised for them.
        site.run(6, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True)]
        site.run(4, reporting=site.metric_ids[:1])
        assert site.raised() == [(ALL_STOPPED, True), (SOME_STOPPED, False)]


class TestIrregular:
    """Metrics that were never regular are not expected to report."""

    @pytest.mark.parametrize(
        ("points", "step", "lasted", "is_expected"),
        [
            (1, 0, 0, False),
            (2, 3 * 60, 3 * 60, False),
            (3, 4 * 60, 9 * 60, False),
            (300, 1, 300, False),
            (12, 60, 2 * 3600, False),
            (61, 60, 3600, True),
            (13, 300, 3600, True),
            (4, 86_400, 3 * 86_400, False),
            (5, 86_400, 4 * 86_400, True),
            (40, 86_400, 300 * 86_400, True),
        ],
    )
    def test_raise_no_alert(self, site: Site, points, step, lasted, is_expected) -> None:
        last_ms = int(site.at.timestamp() * 1000)
        with site.database.unit_of_work():
            for metric_id in site.metric_ids:
                known = session().get_one(Progress, metric_id)
                known.points_seen, known.resolution_ms = points, step * 1000
                known.young_until_ms = last_ms - lasted * 1000 + int(YOUNG_SECONDS * 1000)
        site.run(60, reporting=[], step=60)
        assert bool(site.raised()) == is_expected
        assert bool(site.letters()) == is_expected

    def test_count_as_reporting(self, site: Site) -> None:
        by_hand = site.metric_ids[0]
        for _ in range(10):
            site.run(1, reporting=[by_hand])
            with site.database.unit_of_work():
                session().get_one(Progress, by_hand).points_seen = 3
        assert [type_id for type_id, _ in site.raised()] == [SOME_STOPPED]


class TestSomeStopped:
    def test_names_the_metrics_that_stopped_while_others_reported(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        [(_, subject, text)] = site.letters()
        assert subject == "Acme: Some metrics have stopped"
        assert "- m0, last reported 2026-11-20 12:03:00 UTC" in text
        assert "m1" not in text

    def test_recovers_with_a_letter_when_the_last_metric_is_back(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[2:])
        site.letters()
        site.run(2, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        site.run(2)
        assert site.raised() == [(SOME_STOPPED, True)]
        [(_, subject, text)] = site.letters()
        assert subject == "Acme: Stopped metrics report again"
        assert text.startswith("2 metrics of Acme that had stopped report again.")

    def test_writes_at_most_one_letter_per_expiration_however_it_flaps(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert len(site.letters()) == 1
        for _ in range(2):
            site.run(2)
            site.run(10, reporting=site.metric_ids[1:])
        assert "Acme: Some metrics have stopped" not in site.subjects()
        site.run(45, reporting=site.metric_ids[1:], step=60)
        assert site.subjects() == ["Acme: Some metrics have stopped"]

    def test_writes_about_more_metrics_after_the_expiration(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        site.run(45, reporting=site.metric_ids[2:], step=60)
        assert site.letters() == []
        site.run(20, reporting=site.metric_ids[2:])
        [(_, _, text)] = site.letters()
        assert "- m1, " in text
        assert "- m0, " not in text

    def test_stops_expecting_metrics_silent_for_a_day_with_a_letter(self, site: Site) -> None:
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
        # As soon as it reports again it can stop again.
        site.run(5)
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, True), (SOME_STOPPED, False)]

    def test_ignores_metrics_that_have_ended_or_may_be_silent(self, site: Site) -> None:
        with site.database.unit_of_work():
            session().get_one(Progress, site.metric_ids[0]).has_ended = True
            session().get_one(Progress, site.metric_ids[1]).may_be_silent = True
        site.run(20, reporting=site.metric_ids[2:])
        assert site.raised() == []

    def test_waits_longer_for_a_metric_with_long_gaps(self, site: Site) -> None:
        with site.database.unit_of_work():
            session().get_one(Progress, site.metric_ids[0]).stale_after_ms = 3_600_000
        site.run(59, reporting=site.metric_ids[1:], step=60)
        assert site.raised() == []
        site.run(2, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]

    def test_does_not_expect_reports_of_a_back_filled_metric(self, site: Site) -> None:
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


class TestWorkerNotRunning:
    """Silence of metrics while no worker runs raises no alert."""

    def test_a_restart_after_hours_raises_no_alert_for_returning_metrics(self, site: Site) -> None:
        site.sleep(180)
        site.restart()
        site.run(7, reporting=[])
        assert site.raised() == []
        site.run(60, step=60)
        assert (site.raised(), site.letters()) == ([], [])

    def test_a_metric_silent_before_it_may_return_before_it_leaves(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        site.letters()
        site.sleep(60 * 25)
        site.restart()
        site.run(5)
        assert site.raised() == [(SOME_STOPPED, True)]
        assert site.subjects() == ["Acme: Stopped metrics report again"]

    def test_a_pause_without_a_restart_is_treated_the_same(self, site: Site) -> None:
        site.sleep(180)
        site.run(7, reporting=[])
        site.run(10)
        assert site.raised() == []

    def test_an_alert_is_raised_for_a_metric_that_does_not_return(self, site: Site) -> None:
        site.sleep(180)
        site.restart()
        site.run(10, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]

    def test_an_open_alert_stays_open_without_another_letter(self, site: Site) -> None:
        site.run(10, reporting=site.metric_ids[1:])
        assert len(site.letters()) == 1
        for _ in range(3):
            site.restart()
            site.run(12, step=60, reporting=site.metric_ids[1:])
        assert site.raised() == [(SOME_STOPPED, False)]
        assert site.letters() == []
        site.restart()
        site.run(2)
        assert site.subjects() == ["Acme: Stopped metrics report again"]

    def test_an_org_silent_for_a_day_before_the_start_raises_no_alert(self, site: Site) -> None:
        site.sleep(60 * 26)
        with site.database.unit_of_work():
            record_heartbeat("before", site.at, log_offset=0, lag_seconds=0)
        site.restart()
        site.run(20, reporting=[])
        assert site.raised() == []


class TestSettings:
    def change(self, site: Site, type_id: int, **change: object) -> None:
        with site.database.unit_of_work():
            change_alert_settings(
                site.org_id, type_id, AlertSettingsChange(**change), actor="Alice"
            )

    def test_nothing_is_raised_while_disabled(self, site: Site) -> None:
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

    def test_the_wait_and_the_recipients_are_the_orgs(self, site: Site) -> None:
        with site.database.unit_of_work():
            org = session().get_one(Org, site.org_id)
            carol = make_user(org, "Carol", "viewer", email="carol@acme.example")
        self.change(site, ALL_STOPPED, wait_seconds=1800, email_user_ids=[carol.id])
        site.run(29, reporting=[], step=60)
        assert site.raised() == []
        site.run(2, reporting=[])
        assert [to for to, _, _ in site.letters()] == ["carol@acme.example"]

    def test_a_muted_org_gets_letters_about_open_alerts_after_the_mute(self, site: Site) -> None:
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

    def test_is_raised_at_once_and_recovers_an_hour_after_a_refusal(self, site: Site) -> None:
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


class TestUpdateAlerts:
    def test_changes_nothing_when_repeated(self, site: Site) -> None:
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
