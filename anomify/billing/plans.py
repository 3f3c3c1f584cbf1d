"""Plans: their metric quota and price, and the plans for sale."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from threading import Lock
from time import monotonic
from typing import Any, Self

from anomify.errors import Invalid

# The plan of orgs that pay nothing, where billing is on.
FREE_ID = "free"
# The plan of every org where billing is off.
SELF_HOSTED_ID = "self-hosted"
# How long the plans read from Stripe are cached.
CACHED_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: a number of metrics for a price per interval, in the currency's smallest unit."""

    id: str
    name: str
    # None for no limit.
    metric_quota: int | None
    amount: int = 0
    currency: str | None = None
    # month or year; None for what is never billed.
    interval: str | None = None

    def as_fields(self) -> dict[str, Any]:
        """Return the plan as plain values, for storing."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Return the plan of stored values."""
        return cls(**fields)


SELF_HOSTED = Plan(SELF_HOSTED_ID, "Self-hosted", None)


def free_plan(free_metrics: int) -> Plan:
    """Return the plan that needs no payment."""
    return Plan(FREE_ID, "Free", free_metrics)


def allows_more(one: Plan, other: Plan) -> bool:
    """Return whether `one` includes more metrics, or as many for a higher price."""
    return _worth(one) > _worth(other)


def metrics_over(plan: Plan, used: int) -> int:
    """Return by how much `used` metrics exceed the quota of a plan."""
    return 0 if plan.metric_quota is None else max(used - plan.metric_quota, 0)


class PlansForSale:
    """The plans for sale, read from Stripe's prices and cached; may be shared by threads."""

    def __init__(
        self, read_plans: Callable[[], list[Plan]], monotonic: Callable[[], float] = monotonic
    ) -> None:
        """Start with an empty cache; errors of `read_plans` are raised unchanged."""
        self._read_plans = read_plans
        self._monotonic = monotonic
        self._lock = Lock()
        self._cached: tuple[float, list[Plan]] | None = None

    def listed(self) -> list[Plan]:
        """Return the plans for sale, the smallest first."""
        with self._lock:
            cached = self._cached
        if cached is not None and self._monotonic() - cached[0] < CACHED_SECONDS:
            return cached[1]
        # Read outside the lock, so that no thread waits; two reads at the same time do no harm.
        found = sorted(self._read_plans(), key=_worth)
        with self._lock:
            self._cached = (self._monotonic(), found)
        return found

    def get(self, plan_id: str) -> Plan:
        """Return the plan of this id. Raises `Invalid` for one that is not for sale."""
        for plan in self.listed():
            if plan.id == plan_id:
                return plan
        raise Invalid(
            "There is no such plan for sale; /billing/plans lists the plans.",
            code="plan_unknown",
            fields={"plan_id": "The id of a plan that /billing/plans lists."},
        )


def _worth(plan: Plan) -> tuple[float, int]:
    return (float("inf") if plan.metric_quota is None else plan.metric_quota, plan.amount)
