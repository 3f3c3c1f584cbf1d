"""Letters about unpaid bills: one for each state, to owners and admins."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from anomify.billing.debt import Debt
from anomify.billing.dunning import letter_about, write_about_debt
from anomify.billing.model import BillingAccount
from anomify.clock import now
from anomify.org.model import Letter, Org

BASE = "https://anomify.example"


@pytest.fixture
def owing(database, acme):
    with database.unit_of_work() as session:
        session.add(BillingAccount(org_id=acme.id, customer_id="cus_acme"))
        session.get(Org, acme.id).overdue_since = now()
    return acme


def told_on(database, org, day):
    with time_machine.travel(now() + timedelta(days=day)), database.unit_of_work():
        return write_about_debt(org.id, BASE)


class TestWriteAboutDebt:
    def test_writes_once_for_each_state(self, database, owing):
        days = (0, 0, 5, 14, 15, 30, 60)
        result = [told_on(database, owing, day) for day in days]
        assert result == [True, False, False, True, False, True, False]
        with database.unit_of_work(write=False) as session:
            letters = session.scalars(select(Letter)).all()
        assert [letter.recipient for letter in letters] == ["alice@acme.example"] * 3

    def test_writes_only_about_the_current_state_after_a_long_pause(self, database, owing):
        assert told_on(database, owing, 40)
        assert not told_on(database, owing, 41)

    def test_writes_nothing_without_an_unpaid_bill(self, database, acme):
        with database.unit_of_work() as session:
            session.add(BillingAccount(org_id=acme.id, customer_id="cus_acme"))
        assert not told_on(database, acme, 0)


class TestLetterAbout:
    @pytest.mark.parametrize("debt", [Debt.OVERDUE, Debt.NO_NEW_METRICS, Debt.READ_ONLY])
    def test_contains_the_consequence_and_the_remedy(self, debt):
        subject, text = letter_about(debt, Org(name="Acme", overdue_since=now()), BASE)
        assert subject.endswith("(Acme)")
        assert BASE in text
        assert "billing portal" in text
