"""The index of what moved is written with each tick, and again by a rebuild."""

from anomify.clock import now_ms
from anomify.metric.moved import Moved, list_moved
from anomify.metric.state import PARTITIONS
from tests.kit.plant import MINUTE, POINTS, Plant, drain, noise, past, with_spike


def moved(plant: Plant) -> list[Moved]:
    with plant.database.unit_of_work(write=False):
        return list_moved(plant.org_id, now_ms() - 60 * MINUTE, now_ms() + MINUTE)


def test_a_spike_is_found_live_after_a_restart_and_after_a_rebuild(plant: Plant) -> None:
    metric_id = plant.metric_ids[0]
    times, values = past(), with_spike(noise(), POINTS - 8)
    plant.send(plant.metric_ids[1], times, noise(seed=2))
    first = plant.analyser()
    plant.send(metric_id, times[: POINTS - 7], values[: POINTS - 7])
    drain(first)
    second = plant.analyser()
    for at in range(POINTS - 7, POINTS):
        plant.send(metric_id, times[at : at + 1], values[at : at + 1])
        drain(second)
    [found] = moved(plant)
    assert (found.metric_id, found.started_ms) == (metric_id, int(times[POINTS - 8]))
    assert found.upper is not None
    assert found.value > found.upper
    second.checkpoint(range(PARTITIONS))
    second.rebuild(metric_id)
    assert moved(plant) == [found]
