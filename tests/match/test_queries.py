"""What counts as an alarm that was spared."""

from anomify.clock import now
from anomify.db import session
from anomify.match.queries import count_matches, list_spared
from anomify.org.model import Org
from tests.factories import make_match, make_metric, make_pattern
from tests.kit.plant import Plant


def test_one_that_became_an_anomaly_spared_none_even_if_that_is_deleted(plant: Plant) -> None:
    until_ms = int(now().timestamp() * 1000)
    with plant.database.unit_of_work():
        pattern = make_pattern(make_metric(session().get_one(Org, plant.org_id), "cpu"))
        spared = make_match(pattern)
        make_match(pattern, now(), outgrown_reason="It lasts longer.")
        found = list_spared(plant.org_id, from_ms=0, until_ms=until_ms + 60_000)
        assert [match.id for match in found] == [spared.id]
        assert count_matches(plant.org_id, from_ms=0, until_ms=until_ms + 60_000) == 1
