"""Plans: how they compare, and how long the list is cached."""

from dataclasses import replace

import pytest

from anomify.billing.plans import (
    CACHED_SECONDS,
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
    def test_compares_metrics_first_and_then_the_price(self):
        assert allows_more(SMALL, free_plan(3))
        assert allows_more(SELF_HOSTED, SMALL)
        assert allows_more(replace(SMALL, amount=190_00, interval="year"), SMALL)
        assert not allows_more(SMALL, SMALL)


class TestMetricsOver:
    def test_returns_the_number_above_the_quota(self):
        assert [metrics_over(SMALL, used) for used in (0, 5, 8)] == [0, 0, 3]
        assert metrics_over(SELF_HOSTED, 10**9) == 0


class TestPlansForSale:
    def test_are_read_again_when_the_cache_expires(self):
        requested, clock = [], [0.0]
        plans = PlansForSale(lambda: requested.append(1) or [SMALL], lambda: clock[0])
        assert plans.listed() == plans.listed() == [SMALL]
        clock[0] += CACHED_SECONDS
        plans.listed()
        assert len(requested) == 2

    def test_a_failed_read_is_not_cached(self):
        def fail():
            raise UpstreamFailed("not now", kind="timeout")

        plans = PlansForSale(fail)
        for _ in range(2):
            with pytest.raises(UpstreamFailed):
                plans.listed()
