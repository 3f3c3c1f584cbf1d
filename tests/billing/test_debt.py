"""The restrictions for an unpaid bill, and when each begins."""

from datetime import UTC, datetime, timedelta

import pytest

from anomify.billing.debt import (
    Debt,
    check_may_write,
    debt_of,
    sentence_about,
    takes_new_metrics,
)
from anomify.errors import Denied

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
CASES = [(0, Debt.OVERDUE), (13.9, Debt.OVERDUE), (14, Debt.NO_NEW_METRICS)]
CASES += [(29.9, Debt.NO_NEW_METRICS), (30, Debt.READ_ONLY), (400, Debt.READ_ONLY)]


class TestDebtOf:
    @pytest.mark.parametrize(("days", "debt"), CASES)
    def test_becomes_more_severe_with_time(self, days, debt):
        at = SINCE + timedelta(days=days)
        assert debt_of(SINCE, at) is debt
        assert takes_new_metrics(SINCE, at) is (debt is Debt.OVERDUE)
        assert sentence_about(debt, SINCE).startswith("A bill of 01 November 2026")

    def test_is_none_after_payment(self):
        assert debt_of(None, SINCE) is Debt.NONE
        assert takes_new_metrics(None, SINCE)
        assert sentence_about(Debt.NONE, None) == ""


class TestCheckMayWrite:
    def test_allows_writing_until_the_thirtieth_day(self):
        check_may_write(None, SINCE)
        check_may_write(SINCE, SINCE + timedelta(days=29))
        with pytest.raises(Denied, match="portal") as refused:
            check_may_write(SINCE, SINCE + timedelta(days=30))
        assert refused.value.code == "org_read_only"
