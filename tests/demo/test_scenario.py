"""The generated metrics and incidents of the demo."""

from anomify.demo.scenario import DAY_MS, METRICS, PAST_DAYS, Scenario

FOUNDED_MS = 1_800_000_123_000


class TestWorld:
    def test_has_thirty_days_of_past_for_every_metric(self):
        world = Scenario.founded_at(FOUNDED_MS)
        past = list(world.points(world.start_ms - 1, FOUNDED_MS))
        names = {name for name, _, _ in past}
        assert len(names) == METRICS >= 40
        assert min(time_ms for _, time_ms, _ in past) >= FOUNDED_MS - (PAST_DAYS + 1) * DAY_MS
        assert all(time_ms <= FOUNDED_MS for _, time_ms, _ in past)

    def test_returns_the_same_values_at_every_call(self):
        first = list(Scenario(0).points(DAY_MS, DAY_MS + 3_600_000))
        again = list(Scenario(0).points(DAY_MS, DAY_MS + 3_600_000))
        assert first == again != []

    def test_continues_where_it_stopped(self):
        world = Scenario.founded_at(FOUNDED_MS)
        whole = sorted(world.points(FOUNDED_MS, FOUNDED_MS + 7_200_000))
        parts = [
            *world.points(FOUNDED_MS, FOUNDED_MS + 3_600_000),
            *world.points(FOUNDED_MS + 3_600_000, FOUNDED_MS + 7_200_000),
        ]
        assert sorted(parts) == whole

    def test_returns_its_incidents_in_order(self):
        incidents = Scenario.founded_at(FOUNDED_MS).incidents(FOUNDED_MS)
        assert len(incidents) > 20
        assert [one.from_ms for one in incidents] == sorted(one.from_ms for one in incidents)
        assert all(one.description.endswith(".") for one in incidents)
