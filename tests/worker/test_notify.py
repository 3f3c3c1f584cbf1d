"""The thread that tells what became due."""

from datetime import timedelta

import pytest
import time_machine

from anomify.clock import now
from anomify.db import Database
from anomify.worker.notify import PUT_OFF_FOR, DueNotifier
from tests.delivery.deliveries import (
    NOON,
    make_open_anomaly,
    make_webhook_watcher,
    rows,
    tell_opened,
)
from tests.factories import make_metric, make_org, make_silence

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("is_changed", [False, True])
def test_an_incident_that_cannot_be_decided_holds_up_no_other(
    database: Database, is_changed: bool
) -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        with database.unit_of_work():
            orgs = [make_org(name) for name in ("Broken", "Acme")]
            for org in orgs:
                make_webhook_watcher(org)
                make_silence(org, ends_at=NOON + MINUTE)
                assert tell_opened(make_open_anomaly(make_metric(org))) == 0
        notifier = DueNotifier(database, now)
        clock.shift(2 * MINUTE)
        with database.unit_of_work() as db_session:
            # Its time zone is one that this server does not have any more.
            broken = db_session.merge(orgs[0])
            zone, broken.timezone = broken.timezone, "Europe/Nowhere"
        if is_changed:
            notifier.tell_after_changes()
        else:
            notifier.run_once()
        with database.unit_of_work():
            assert [row.org_id for row in rows()] == [orgs[1].id]

        clock.shift(PUT_OFF_FOR)
        with database.unit_of_work() as db_session:
            db_session.merge(orgs[0]).timezone = zone
        notifier.run_once()
        with database.unit_of_work():
            assert sorted(row.org_id for row in rows()) == sorted(org.id for org in orgs)
