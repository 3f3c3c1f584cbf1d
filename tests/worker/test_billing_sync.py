"""Accounts are read again, unpaid invoices announced, and old events deleted without a webhook."""

import threading
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.billing.model import BillingAccount
from anomify.billing.stripe_gateway import StripeGateway
from anomify.clock import now
from anomify.config import Settings
from anomify.org.model import Letter, Org
from anomify.worker.billing_sync import READ_EVERY, BillingSync
from tests.factories import make_org, make_user
from tests.kit.stripe_account import SECRET_KEY, WEBHOOK_SECRET, Failure
from tests.kit.stripe_server import stripe_wire


@pytest.fixture
def wire():
    with stripe_wire() as opened:
        yield opened


@pytest.fixture
def gateway(wire):
    return StripeGateway(SECRET_KEY, WEBHOOK_SECRET, wire.url, has_tax=False)


@pytest.fixture
def billing_sync(database, gateway):
    database.sealing_key = b"k" * 32
    return BillingSync(database, Settings(free_metrics=3), gateway)


@pytest.fixture
def acme(database, gateway):
    with database.unit_of_work() as session:
        org = make_org("Acme")
        make_user(org, "Alice", "owner")
        customer_id = gateway.create_customer("1:customer:a", org.id, "Acme", None)
        session.add(BillingAccount(org_id=org.id, customer_id=customer_id))
    return org, customer_id


def quota(database, org):
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(Org.metric_quota).where(Org.id == org.id))


class TestRunOnce:
    def test_reads_accounts_without_recent_events(self, database, billing_sync, wire, acme):
        org, customer_id = acme
        bought = wire.subscribe(customer_id, wire.make_price("Small", 5, 19_00))
        billing_sync.run_once()
        assert quota(database, org) == 5
        wire.give_up(bought["id"])
        billing_sync.run_once()
        assert quota(database, org) == 5
        with time_machine.travel(now() + READ_EVERY + timedelta(minutes=1)):
            billing_sync.run_once()
        assert quota(database, org) == 3

    def test_writes_when_the_debt_grows(self, database, billing_sync, acme):
        org, _ = acme
        with database.unit_of_work() as session:
            session.get(Org, org.id).overdue_since = now() - timedelta(days=15)
            session.get(BillingAccount, org.id).mailed_debt = "overdue"
        billing_sync.run_once()
        with database.unit_of_work(write=False) as session:
            assert session.scalars(select(Letter.purpose)).all() == ["billing"]

    def test_goes_on_where_one_customer_cannot_be_read(self, database, billing_sync, wire, acme):
        org, customer_id = acme
        with database.unit_of_work() as session:
            broken = make_org("Broken")
            session.add(BillingAccount(org_id=broken.id, customer_id="cus_broken"))
        wire.subscribe(customer_id, wire.make_price("Small", 5, 19_00))
        wire.fail("/v1/subscriptions", Failure(400))
        billing_sync.run_once()
        billing_sync.run_once()
        assert quota(database, org) == 5

    def test_reads_failing_accounts_last(self, database, billing_sync, wire, acme, monkeypatch):
        monkeypatch.setattr("anomify.worker.billing_sync.ACCOUNTS_MAX", 2)
        org, customer_id = acme
        wire.subscribe(customer_id, wire.make_price("Small", 5, 19_00))
        with database.unit_of_work() as session:
            session.get(BillingAccount, org.id).read_at = now() - timedelta(days=3)
            for number in range(5):
                broken = make_org(f"Broken {number}")
                session.add(BillingAccount(org_id=broken.id, customer_id=f"cus_{number}"))
                session.flush()
        for _ in range(3):
            billing_sync.run_once()
        assert quota(database, org) == 5

    def test_writes_about_every_debt_also_after_a_failure(
        self, database, billing_sync, monkeypatch
    ):
        monkeypatch.setattr("anomify.worker.billing_sync.ORGS_MAX", 2)
        result = []

        def tell(org_id, _):
            result.append(org_id)
            if len(result) % 2:
                raise ValueError("it cannot be written")

        monkeypatch.setattr("anomify.worker.billing_sync.write_about_debt", tell)
        with database.unit_of_work():
            owing = [make_org(f"Owing {number}", overdue_since=now()).id for number in range(5)]
        billing_sync.run_once()
        assert result == owing


class TestRunUntil:
    def test_continues_when_stripe_cannot_be_reached(self, database, billing_sync, wire, acme):
        org, customer_id = acme
        wire.subscribe(customer_id, wire.make_price("Small", 5, 19_00))
        wire.fail("/v1/subscriptions", Failure(429))
        stop = Twice()
        billing_sync.run_until(stop)
        assert quota(database, org) == 5


class Twice(threading.Event):
    """An event that is set at its second wait."""

    def __init__(self):
        super().__init__()
        self.waited = 0

    def wait(self, _timeout=None):
        self.waited += 1
        if self.waited == 2:
            self.set()
        return self.is_set()
