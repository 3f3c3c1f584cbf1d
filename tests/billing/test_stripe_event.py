"""Webhook events of Stripe: late, repeated, in any order, and of other customers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from sqlalchemy import func, select

from anomify.audit.model import AuditEntry
from anomify.billing.account import apply_read, begin_read, read_customer, refresh
from anomify.billing.customer import Bill, CustomerState, PaymentEvent, Subscription
from anomify.billing.model import BillingAccount, BillingEvent, BillingInvoice
from anomify.billing.plans import Plan, free_plan
from anomify.billing.stripe_event import REMEMBERED, Taken, forget_events, process_event
from anomify.clock import now
from anomify.errors import UpstreamFailed
from anomify.org.model import Letter, Org
from tests.factories import make_org
from tests.kit.stripe_account import Failure

FREE = free_plan(3)
SMALL = Plan("price_small", "Small", 5, 19_00, "eur", "month")
LARGE = Plan("price_large", "Large", 50, 99_00, "eur", "month")
BASE = "http://anomify.example"
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
ORDERS = tuple(enumerate(permutations(range(5))))


def subscription(plan=SMALL, status="active", **more):
    return Subscription(
        **{
            "id": "sub_1",
            "status": status,
            "created_at": BEGAN,
            "plan": plan,
            "price_id": plan.id,
            "item_id": "si_1",
            "quantity": 1,
            "period_start": BEGAN,
            "period_end": BEGAN + timedelta(days=30),
            "is_ending": False,
            "schedule_id": None,
            "next_price_id": None,
            "overdue_since": None,
            **more,
        }
    )


def state(*subscriptions):
    return CustomerState(is_deleted=False, subscriptions=subscriptions)


class Remembered:
    """A gateway that returns prepared states, or calls a function during the read."""

    def __init__(self, *states):
        self.states = list(states)
        self.meanwhile = lambda: None

    def customer_state(self, _customer_id):
        found = self.states[0] if len(self.states) == 1 else self.states.pop(0)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return found

    def next_bill(self, current):
        return Bill(current.plan.amount, current.plan.currency)


def event(number=1, kind="customer.subscription.updated", customer_id="cus_acme"):
    return PaymentEvent(f"evt_{number}", kind, BEGAN + timedelta(seconds=number), customer_id)


@pytest.fixture
def customer(database, acme):
    with database.unit_of_work() as session:
        session.add(BillingAccount(org_id=acme.id, customer_id="cus_acme"))
    return "cus_acme"


def quota(database, org):
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(Org.metric_quota).where(Org.id == org.id))


def count(database, row):
    with database.unit_of_work(write=False) as session:
        return session.scalar(select(func.count()).select_from(row))


@pytest.mark.usefixtures("customer")
class TestProcessEvent:
    def test_updates_plan_and_quota(self, database, acme):
        result = process_event(database, Remembered(state(subscription())), event(), FREE, BASE)
        assert result is Taken.FOLLOWED
        assert quota(database, acme) == 5
        with database.unit_of_work(write=False) as session:
            account = session.get(BillingAccount, acme.id)
            assert (account.status, account.plan["id"]) == ("active", "price_small")
            assert (account.next_bill_amount, account.next_bill_currency) == (19_00, "eur")
            entry = session.scalars(select(AuditEntry)).one()
        assert (entry.actor, entry.action) == ("stripe", "billing.plan")
        assert (entry.before["metric_quota"], entry.after["metric_quota"]) == (None, 5)

    def test_processes_an_event_once_when_it_comes_ten_times(self, database, acme):
        gateway = Remembered(state(subscription()))
        result = [process_event(database, gateway, event(), FREE, BASE) for _ in range(10)]
        assert result == [Taken.FOLLOWED, *[Taken.KNOWN] * 9]
        assert quota(database, acme) == 5
        assert (count(database, BillingEvent), count(database, AuditEntry)) == (1, 1)

    def test_processes_an_event_once_when_two_requests_bring_it_at_once(self, database):
        gateway = Remembered(state(subscription()))
        inner = []
        gateway.meanwhile = lambda: inner.append(
            process_event(database, gateway, event(), FREE, BASE)
        )
        assert process_event(database, gateway, event(), FREE, BASE) is Taken.KNOWN
        assert inner == [Taken.FOLLOWED]

    def test_an_earlier_read_never_overwrites_a_later_one(self, database, acme):
        # The first reads slowly; meanwhile the second reads, gets newer data and finishes.
        gateway = Remembered(state(subscription()), state(subscription(LARGE)))
        gateway.meanwhile = lambda: process_event(database, gateway, event(2), FREE, BASE)
        process_event(database, gateway, event(1), FREE, BASE)
        assert quota(database, acme) == 50

    def test_ignores_unknown_customers(self, database, acme):
        gateway = Remembered(state(subscription()))
        foreign = process_event(database, gateway, event(customer_id="cus_other"), FREE, BASE)
        nobodys = process_event(database, gateway, event(2, customer_id=None), FREE, BASE)
        assert (foreign, nobodys) == (Taken.NOT_OURS, Taken.NOT_OURS)
        assert quota(database, acme) is None

    def test_ignores_unused_event_types(self, database):
        gateway = Remembered(state(subscription()))
        result = process_event(database, gateway, event(kind="charge.refunded"), FREE, BASE)
        assert result is Taken.UNUSED
        assert count(database, BillingEvent) == 0

    def test_does_not_record_the_event_when_stripe_fails(self, database, acme):
        gateway = Remembered(state(subscription()))

        def fail():
            raise UpstreamFailed("not now", kind="timeout")

        gateway.meanwhile = fail
        with pytest.raises(UpstreamFailed):
            process_event(database, gateway, event(), FREE, BASE)
        assert process_event(database, gateway, event(), FREE, BASE) is Taken.FOLLOWED
        assert quota(database, acme) == 5

    def test_deletes_records_of_old_events(self, database):
        process_event(database, Remembered(state(subscription())), event(), FREE, BASE)
        with database.unit_of_work():
            forget_events(now() + REMEMBERED - timedelta(minutes=1))
        assert count(database, BillingEvent) == 1
        with database.unit_of_work():
            forget_events(now() + REMEMBERED + timedelta(minutes=1))
        assert count(database, BillingEvent) == 0


class TestOrder:
    """Five events of one history in each of the 120 orders, some of them twice."""

    HISTORY = (
        state(subscription(status="incomplete")),
        state(subscription()),
        state(subscription(LARGE)),
        state(subscription(LARGE, is_ending=True)),
        state(subscription(SMALL, is_ending=False, next_price_id=None)),
    )

    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_does_not_change_the_result(self, database):
        # The units of work inside join this one, so that the disk is waited for once.
        with database.unit_of_work() as session:
            ends = {self.end_of(database, session, *numbered) for numbered in ORDERS}
        assert ends == {("price_small", False, 5)}

    def end_of(self, database, session, number, order):
        org = make_org(f"Org {number}")
        session.add(BillingAccount(org_id=org.id, customer_id=f"cus_{number}"))
        session.flush()
        for index, which in enumerate(order):
            # Stripe's reply includes the state that the event is about, and everything before it.
            gateway = Remembered(self.HISTORY[max(order[: index + 1])])
            news = PaymentEvent(f"evt_{number}_{which}", "invoice.paid", BEGAN, f"cus_{number}")
            for _ in range(2):
                process_event(database, gateway, news, FREE, BASE)
        account = session.get(BillingAccount, org.id)
        return account.plan["id"], account.is_ending, org.metric_quota


@pytest.mark.usefixtures("customer")
class TestApplyRead:
    def see(self, database, org, *subscriptions, **more):
        found = replace(state(*subscriptions), **more)
        refresh(database, Remembered(found), org.id, FREE)
        with database.unit_of_work(write=False) as session:
            return session.get(BillingAccount, org.id)

    @pytest.mark.parametrize("status", ["incomplete", "incomplete_expired", "paused", "canceled"])
    def test_changes_nothing_for_a_subscription_that_was_never_paid(self, database, acme, status):
        account = self.see(database, acme, subscription(status=status))
        assert (account.plan, quota(database, acme)) == (None, None)

    @pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid"])
    def test_sets_the_plan_while_the_subscription_lasts(self, database, acme, status):
        self.see(database, acme, subscription(status=status))
        assert quota(database, acme) == 5

    def test_sets_the_free_plan_after_the_subscription_ended(self, database, acme):
        self.see(database, acme, subscription())
        account = self.see(database, acme, subscription(status="canceled"))
        assert (account.plan, account.status, quota(database, acme)) == (None, "canceled", 3)
        assert (account.next_bill_at, account.period_end) == (None, None)

    def test_sets_no_quota_for_an_unlimited_plan(self, database, acme):
        self.see(database, acme, subscription())
        self.see(database, acme, subscription(replace(LARGE, metric_quota=None)))
        assert quota(database, acme) is None

    def test_multiplies_the_quota_by_the_quantity(self, database, acme):
        self.see(database, acme, subscription(quantity=3))
        assert quota(database, acme) == 15

    def test_uses_the_latest_of_several_subscriptions(self, database, acme):
        later = subscription(LARGE, id="sub_2", created_at=BEGAN + timedelta(days=1))
        account = self.see(database, acme, later, subscription())
        assert (account.subscription_id, quota(database, acme)) == ("sub_2", 50)

    def test_ignores_a_price_without_a_number_of_metrics(self, database, acme):
        self.see(database, acme, subscription())
        self.see(database, acme, replace(subscription(), plan=None, price_id="price_odd"))
        assert quota(database, acme) == 3

    def test_clears_the_id_of_a_deleted_customer(self, database, acme):
        self.see(database, acme, subscription())
        account = self.see(database, acme, is_deleted=True)
        assert (account.customer_id, quota(database, acme)) == (None, 3)

    def test_ignores_a_read_of_a_customer_that_was_replaced(self, database, acme):
        with database.unit_of_work() as session:
            begun = begin_read(session.get(BillingAccount, acme.id))
        found = read_customer(Remembered(state(subscription())), begun)
        with database.unit_of_work() as session:
            session.get(BillingAccount, acme.id).customer_id = "cus_new"
        with database.unit_of_work():
            assert apply_read(found, FREE) is None
        assert quota(database, acme) is None

    def test_stores_when_a_bill_became_overdue_and_clears_it(self, database, acme):
        since = BEGAN + timedelta(days=2)
        self.see(database, acme, subscription(status="past_due", overdue_since=since))
        with database.unit_of_work(write=False) as session:
            assert session.get(Org, acme.id).overdue_since == since
        self.see(database, acme, subscription())
        with database.unit_of_work(write=False) as session:
            assert session.get(Org, acme.id).overdue_since is None


class TestOverTheWire:
    """The same with Stripe's library and a local server that keeps state."""

    def test_writes_to_owners_only_when_a_payment_fails(self, database, acme, wire, gateway):
        price = wire.make_price("Small", 5, 19_00)
        customer_id = gateway.create_customer("1:customer:a", acme.id, "Acme", None)
        with database.unit_of_work() as session:
            session.add(BillingAccount(org_id=acme.id, customer_id=customer_id))
        bought = wire.subscribe(customer_id, price)
        wire.declined.add(customer_id)
        wire.end_period(bought["id"])
        for result in wire.take_events()[::-1] * 2:
            news = PaymentEvent(result["id"], result["type"], BEGAN, customer_id)
            process_event(database, gateway, news, FREE, BASE)
        with database.unit_of_work(write=False) as session:
            letters = session.scalars(select(Letter)).all()
            assert [letter.recipient for letter in letters] == ["alice@acme.example"]
            assert session.get(Org, acme.id).overdue_since is not None
            assert count(database, BillingInvoice) == 2
        wire.pay_open_bill(bought["id"])
        refresh(database, gateway, acme.id, FREE)
        with database.unit_of_work(write=False) as session:
            assert session.get(Org, acme.id).overdue_since is None
            assert session.get(BillingAccount, acme.id).mailed_debt == "none"

    def test_does_not_move_an_invoice_to_another_org(self, database, acme, wire, gateway):
        price = wire.make_price("Small", 5, 19_00)
        customer_id = gateway.create_customer("1:customer:a", acme.id, "Acme", None)
        with database.unit_of_work() as session:
            globex = make_org("Globex")
            session.add(BillingAccount(org_id=globex.id, customer_id="cus_globex"))
            session.add(BillingAccount(org_id=acme.id, customer_id=customer_id))
        wire.subscribe(customer_id, price)
        refresh(database, gateway, acme.id, FREE)
        same = gateway.customer_state(customer_id)
        refresh(database, Remembered(same), globex.id, FREE)
        with database.unit_of_work(write=False) as session:
            (invoice,) = session.scalars(select(BillingInvoice)).all()
        assert invoice.org_id == acme.id

    def test_changes_nothing_when_stripe_fails(self, database, acme, wire, gateway):
        customer_id = gateway.create_customer("1:customer:a", acme.id, "Acme", None)
        with database.unit_of_work() as session:
            session.add(BillingAccount(org_id=acme.id, customer_id=customer_id))
        wire.fail("/v1/subscriptions", Failure(500), times=3)
        with pytest.raises(UpstreamFailed):
            process_event(database, gateway, event(customer_id=customer_id), FREE, BASE)
        assert count(database, BillingEvent) == 0
