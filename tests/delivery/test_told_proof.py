"""Generated courses of events: what people were told agrees with what has happened, at every step.

Anomalies begin, rise, end, come again and are deleted; people acknowledge, resolve, silence, change
and delete watchers; messages are sent or wait. After each step the messages are checked.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import delete, select

from anomify.anomaly.model import Anomaly, Span
from anomify.clock import to_ms
from anomify.db import Base, Database, session
from anomify.delivery.changed_watchers import ChangedWatchers
from anomify.delivery.model import SENT, Delivery, Notification
from anomify.delivery.notify import notify, notify_due
from anomify.incident.model import Incident
from anomify.incident.queries import members_of
from anomify.job.model import PENDING
from anomify.org.model import Org
from anomify.pipeline.announce import announcing
from anomify.triage.status import Status
from anomify.watcher.model import Watcher, WatcherContact
from anomify.watcher.routing import is_told
from tests.delivery.deliveries import NOON, make_webhook_watcher
from tests.factories import (
    link_contact,
    make_anomaly,
    make_contact_point,
    make_metric,
    make_org,
    make_silence,
)

NAMES = ("cpu.load", "cpu.wait", "shop.orders", "disk.free")
SECOND = timedelta(seconds=1)
METRIC = st.integers(0, len(NAMES) - 1)
OPENINGS = ("opened", "flapping")
WHILE_OPEN = ("updated", "reminder")


class Telling(RuleBasedStateMachine):
    database: Database

    @initialize()
    def begin(self) -> None:
        self.at = NOON
        self.changes = ChangedWatchers()
        self.held: list[tuple[datetime, datetime]] = []
        with self.database.unit_of_work():
            org = make_org()
            self.org_id = org.id
            self.metrics = [make_metric(org, name) for name in NAMES]
            # As /watcher/create makes it, and one that tells everything at once, in two steps.
            self.default_id = make_webhook_watcher(org, ".").id
            eager = make_webhook_watcher(
                org,
                ".",
                severity="low",
                expiration_seconds=0,
                reminder_seconds=1800,
                escalation_minutes=[10],
            )
            self.eager_id = eager.id
            link_contact(eager, make_contact_point(org, name="second"), step=1)

    def open_of(self, number: int) -> Span | None:
        return session().scalar(
            select(Span).where(Span.metric_id == self.metrics[number].id, Span.is_open.is_(True))
        )

    @rule(number=METRIC, severity=st.sampled_from(["low", "high"]))
    def begins(self, number: int, severity: str) -> None:
        self.at += SECOND
        with self.database.unit_of_work(), announcing(self.at) as notifier:
            span = self.open_of(number)
            if span is None:
                anomaly = make_anomaly(
                    session().merge(self.metrics[number], load=False),
                    self.at,
                    minutes=None,
                    severity=severity,
                )
                notifier.opened(anomaly.span)
            else:
                # Its severity may rise, and never falls.
                span.severity = "high" if "high" in (severity, span.severity) else severity
                span.last_over_ms = to_ms(self.at)
                notifier.opened(span)

    @rule(number=METRIC)
    def ends(self, number: int) -> None:
        with self.database.unit_of_work(), announcing(self.at) as notifier:
            span = self.open_of(number)
            if span is not None:
                span.is_open, span.ended_ms = False, to_ms(self.at)
                notifier.recovered(span)

    @rule(number=METRIC)
    def begins_and_ends_in_one_tick(self, number: int) -> None:
        self.at += SECOND
        with self.database.unit_of_work(), announcing(self.at) as notifier:
            if self.open_of(number) is None:
                metric = session().merge(self.metrics[number], load=False)
                anomaly = make_anomaly(metric, self.at, minutes=0)
                notifier.opened(anomaly.span)
                notifier.recovered(anomaly.span)

    @rule(number=METRIC, status=st.sampled_from([Status.ACKNOWLEDGED, Status.RESOLVED]))
    def people_decide(self, number: int, status: Status) -> None:
        with self.database.unit_of_work():
            span = self.open_of(number)
            if span is not None:
                session().get_one(Anomaly, span.anomaly_id).status = status.value

    @rule(number=METRIC)
    def is_deleted(self, number: int) -> None:
        with self.database.unit_of_work():
            of_metric = select(Span.anomaly_id).where(Span.metric_id == self.metrics[number].id)
            session().execute(delete(Anomaly).where(Anomaly.id.in_(of_metric)))

    @rule(minutes=st.sampled_from([1, 30, 90]), is_mute=st.booleans())
    def people_silence(self, minutes: int, is_mute: bool) -> None:
        with self.database.unit_of_work():
            org = session().get_one(Org, self.org_id)
            self.held.append((self.at, self.at + timedelta(minutes=minutes)))
            if is_mute:
                # A mute is not shortened by a later one here.
                org.muted_until = max(self.held[-1][1], org.muted_until or self.at)
            else:
                make_silence(org, begins_at=self.at, hours=minutes / 60)

    @rule(severity=st.sampled_from(["low", "high"]), is_alerting=st.booleans())
    def a_watcher_is_changed(self, severity: str, is_alerting: bool) -> None:
        with self.database.unit_of_work():
            watcher = session().get_one(Watcher, self.eager_id)
            watcher.severity, watcher.is_alerting = severity, is_alerting
        self.look()

    @rule(is_sent=st.booleans())
    def messages_are_sent(self, is_sent: bool) -> None:
        with self.database.unit_of_work():
            for row in session().scalars(select(Delivery).where(Delivery.state == PENDING)):
                row.attempts += 1
                if is_sent:
                    row.state = SENT

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 301, 900, 3601]))
    def time_passes(self, seconds: int) -> None:
        # The worker looks far more often; this is enough to see what it would do.
        for _ in range(3 if seconds > 60 else 1):
            self.at += seconds * SECOND / (3 if seconds > 60 else 1)
            self.look()

    def look(self) -> None:
        with self.database.unit_of_work():
            while notify_due(self.at):
                pass
            changed = self.changes.find_incidents(self.at)
            if changed:
                notify(changed, self.at)

    @invariant()
    def messages_are_in_order_and_about_what_was_told(self) -> None:
        with self.database.unit_of_work(write=False):
            if not hasattr(self, "org_id"):
                return
            by_row = defaultdict(list)
            for row in session().scalars(
                select(Delivery)
                .where(Delivery.org_id == self.org_id)
                .order_by(Delivery.notification_id, Delivery.sequence)
            ):
                by_row[row.notification_id].append(row)
            for told in by_row.values():
                for one, other in pairwise(told):
                    assert one.created_at <= other.created_at
                    assert other.sequence == one.sequence + 1
                self.check([row for row in told if row.last_error is None])

    def check(self, told: list[Delivery]) -> None:
        is_open = False
        for row in told:
            if row.transition in OPENINGS:
                assert not is_open, "an opening after an opening"
                is_open = True
            elif row.transition in WHILE_OPEN:
                assert is_open, f"{row.transition} without an opening"
            elif row.transition == "recovered":
                assert is_open, "a recovery without an opening"
                is_open = False

    @invariant()
    def nothing_is_told_while_all_is_held_back(self) -> None:
        with self.database.unit_of_work(write=False):
            if not hasattr(self, "org_id"):
                return
            created = session().scalars(
                select(Delivery.created_at).where(Delivery.org_id == self.org_id)
            )
            for moment in created:
                assert not any(since < moment < until for since, until in self.held)

    def teardown(self) -> None:
        if not hasattr(self, "org_id"):
            return
        with self.database.unit_of_work():
            session().get_one(Watcher, self.eager_id).is_alerting = True
        # All silences are over by then, and every quiet time.
        for _ in range(3):
            self.time_passes(2 * 3601)
        with self.database.unit_of_work():
            self.all_is_told()
            session().delete(session().get_one(Org, self.org_id))

    def all_is_told(self) -> None:
        links = session().execute(
            select(WatcherContact.watcher_id, WatcherContact.contact_point_id, WatcherContact.step)
            .join(Watcher, Watcher.id == WatcherContact.watcher_id)
            .where(Watcher.org_id == self.org_id)
        )
        for watcher_id, point_id, step in links.all():
            watcher = session().get_one(Watcher, watcher_id)
            for incident in session().scalars(
                select(Incident).where(Incident.org_id == self.org_id)
            ):
                live = [
                    member
                    for member in members_of(incident.id)
                    if member.is_open
                    and not Status(member.status).is_archived
                    and is_told(watcher, member.metric_name, member.severity, 0)
                ]
                row = session().scalar(
                    select(Notification).where(
                        Notification.incident_id == incident.id,
                        Notification.watcher_id == watcher_id,
                        Notification.contact_point_id == point_id,
                    )
                )
                is_acknowledged = all(member.status != Status.ACTIVE for member in live)
                if live and not (step and is_acknowledged):
                    assert row is not None, (watcher.severity, step)
                    assert row.is_told_open, (watcher.severity, step)
                elif not live and row is not None:
                    assert not row.is_told_open
                    assert not row.is_missed


@pytest.fixture(autouse=True, scope="module")
def empty_database() -> Iterator[None]:
    with TemporaryDirectory() as folder:
        Telling.database = Database(f"sqlite:///{Path(folder) / 'meta.db'}")
        Telling.database.sealing_key = b"s" * 32
        Base.metadata.create_all(Telling.database.engine)
        yield
        Telling.database.dispose()


TestTelling = Telling.TestCase
TestTelling.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
