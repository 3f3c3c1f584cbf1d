"""Plans: what is more than what, and how long a list of them holds."""

from dataclasses import replace

import pytest

from anomify.billing.plans import (
    REMEMBERED_SECONDS,
    SELF_HOSTED,
    Plan,
    PlansForSale,
    allows_more,
    free_plan,
    metrics_over,
)
from anomify.errors import UpstreamFailed

SMALL = Plan("price_small", "Small", 5, 19_00, "eur", "month")


class TestAllowsMore:
    def test_goes_by_metrics_and_then_by_price(self):
        assert allows_more(SMALL, free_plan(3))
        assert allows_more(SELF_HOSTED, SMALL)
        assert allows_more(replace(SMALL, amount=190_00, interval="year"), SMALL)
        assert not allows_more(SMALL, SMALL)


class TestMetricsOver:
    def test_is_what_has_no_room(self):
        assert [metrics_over(SMALL, used) for used in (0, 5, 8)] == [0, 0, 3]
        assert metrics_over(SELF_HOSTED, 10**9) == 0


class TestPlansForSale:
    def test_are_asked_for_again_after_a_while(self):
        asked, clock = [], [0.0]
        plans = PlansForSale(lambda: asked.append(1) or [SMALL], lambda: clock[0])
        assert plans.listed() == plans.listed() == [SMALL]
        clock[0] += REMEMBERED_SECONDS
        plans.listed()
        assert len(asked) == 2

    def test_are_not_remembered_as_none_where_stripe_fails(self):
        def fail():
            raise UpstreamFailed("not now", kind="timeout")

        plans = PlansForSale(fail)
        for _ in range(2):
            with pytest.raises(UpstreamFailed):
                plans.listed()
