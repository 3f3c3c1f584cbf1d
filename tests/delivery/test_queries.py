from datetime import UTC, datetime, timedelta

import pytest

from anomify.delivery.model import SENT
from anomify.delivery.queries import latest_problems
from anomify.job.model import DEAD
from tests.factories import make_anomaly, make_delivery, make_metric, make_org, make_watcher

pytestmark = pytest.mark.usefixtures("unit")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class TestLatestProblems:
    def test_returns_the_problem_until_a_later_message_arrives(self) -> None:
        org = make_org()
        first, second = (make_anomaly(make_metric(org, name)) for name in ("cpu.a", "cpu.b"))
        failing, mended, fresh = (make_watcher(org) for _ in range(3))
        dead = {"state": DEAD, "attempts": 3, "last_error": "Gone.", "created_at": NOON}
        later = NOON + timedelta(hours=1)
        make_delivery(failing, first, **dead)
        make_delivery(mended, first, **dead)
        make_delivery(mended, second, state=SENT, attempts=1, created_at=later)
        make_delivery(fresh, first)
        ids = [failing.id, mended.id, fresh.id]

        assert latest_problems(org.id, ids) == {failing.id: "Gone."}
        assert latest_problems(org.id, []) == {}
        assert latest_problems(make_org("Globex").id, ids) == {}
