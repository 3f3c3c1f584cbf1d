"""The onboarding steps that are taken when messages are delivered."""

from anomify.channel.message import DELIVERED, Receipt
from anomify.clock import now
from anomify.delivery.outbox import settle
from anomify.user.model import User
from anomify.user.queries import onboarding_flags
from tests.factories import make_anomaly, make_cast, make_delivery, make_metric, make_watcher

FAILED = Receipt(is_delivered=False, problem="away", is_permanent=True)


def steps(unit, user) -> set[str]:
    found = unit.get_one(User, user.id, populate_existing=True)
    return {step for step, is_taken in onboarding_flags(found).items() if is_taken}


def settled(unit, delivery, receipt=DELIVERED) -> None:
    delivery.leased_until, delivery.attempts = now(), 1
    unit.flush()
    settle(delivery.id, delivery.leased_until, receipt, now(), chance=0.5)
    unit.flush()


class TestFirstSteps:
    def test_a_test_counts_once_it_has_arrived(self, unit):
        cast = make_cast()
        anomaly = make_anomaly(make_metric(cast.acme))
        watcher = make_watcher(cast.acme)
        settled(unit, make_delivery(watcher, anomaly, transition="test"), FAILED)
        assert steps(unit, cast.bob) == set()
        settled(unit, make_delivery(watcher, anomaly, transition="test", recipient="2"))
        assert steps(unit, cast.bob) == steps(unit, cast.alice) == {"test_alert_sent"}
        assert steps(unit, cast.charlie) == set()

    def test_two_alerts_are_of_two_anomalies(self, unit):
        cast = make_cast()
        first, second = (make_anomaly(make_metric(cast.acme, name)) for name in ("a", "b"))
        watcher = make_watcher(cast.acme)
        settled(unit, make_delivery(watcher, first))
        settled(unit, make_delivery(watcher, first, recipient="2"))
        assert steps(unit, cast.bob) == set()
        settled(unit, make_delivery(watcher, second))
        assert steps(unit, cast.bob) == {"two_alerts_sent"}
