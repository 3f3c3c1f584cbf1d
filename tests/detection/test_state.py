import numpy as np
import pytest

from anomify.detection.detector import judge
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.state import (
    LEARNING_POINTS,
    SLOT,
    EngineState,
    UnreadableSnapshotError,
    describe,
)

MONDAY_MS = 1_790_553_600_000
MOST_BYTES = 12_000


@pytest.fixture
def fed():
    """Three slots, of which 2 and 0 know two metrics."""
    state = EngineState.new(3)
    one, other = generate(4, MONDAY_MS, 600, 5, count=2)
    for slot, metric in ((2, one), (0, other)):
        judge(state, np.full(len(metric.times), slot), metric.times, metric.values)
    return state


def go_on(state, slot):
    times = MONDAY_MS + 6 * 86_400_000 + np.arange(200) * 600_000
    values = np.random.default_rng(2).normal(50.0, 5.0, 200)
    return judge(state, np.full(200, slot), times, values).strengths


class TestEngineState:
    def test_is_small(self):
        assert SLOT.itemsize <= MOST_BYTES

    def test_has_no_bytes_between_its_fields(self):
        # Such bytes would be copied at random: equal slots would have different snapshots.
        assert SLOT.itemsize == sum(SLOT[name].itemsize for name in SLOT.names)

    def test_keeps_what_it_knows_when_it_grows(self, fed):
        before = fed.extract(np.arange(3))
        fed.grow(10)
        assert fed.capacity == 10
        assert fed.extract(np.arange(3)) == before
        assert describe(fed, np.arange(3, 10)).seen.tolist() == [0] * 7

    def test_does_not_shrink(self, fed):
        fed.grow(1)
        assert fed.capacity == 3

    def test_goes_on_from_a_snapshot_as_if_nothing_had_happened(self, fed):
        snapshot = fed.extract(np.array([2, 0]))
        restored = EngineState.new(2)
        restored.insert(np.array([0, 1]), snapshot)
        np.testing.assert_array_equal(go_on(restored, 0), go_on(fed, 2))
        np.testing.assert_array_equal(go_on(restored, 1), go_on(fed, 0))
        assert restored.extract(np.array([0, 1])) == fed.extract(np.array([2, 0]))

    @pytest.mark.parametrize("kind", list(GeneratedKind))
    @pytest.mark.parametrize("cut", [50, 101, 1500])
    def test_may_be_kept_and_restored_in_the_middle_of_any_series(self, kind, cut):
        [metric] = generate(6, MONDAY_MS, 300, 9, [kind], incidents_a_week=2.0)
        slots = np.zeros(len(metric.times), np.int64)
        whole = EngineState.new(1)
        at_once = judge(whole, slots, metric.times, metric.values)
        first, second = EngineState.new(1), EngineState.new(4)
        judge(first, slots[:cut], metric.times[:cut], metric.values[:cut])
        second.insert(np.array([3]), first.extract(np.array([0])))
        rest = judge(second, slots[cut:] + 3, metric.times[cut:], metric.values[cut:])
        for name in type(rest).__slots__:
            np.testing.assert_array_equal(getattr(rest, name), getattr(at_once, name)[cut:])
        assert second.extract(np.array([3])) == whole.extract(np.array([0]))

    def test_gives_the_same_bytes_for_the_same_knowledge(self, fed):
        assert fed.extract(np.array([2])) == fed.extract(np.array([2]))

    def test_forgets_what_is_cleared_and_nothing_else(self, fed):
        kept = fed.extract(np.array([0]))
        fed.clear(np.array([2]))
        assert fed.extract(np.array([2])) == EngineState.new(1).extract(np.array([0]))
        assert fed.extract(np.array([0])) == kept

    def test_takes_a_snapshot_of_nothing(self):
        none = np.empty(0, np.int64)
        state = EngineState.new(1)
        state.insert(none, EngineState.new(0).extract(none))
        assert state.extract(np.array([0])) == EngineState.new(1).extract(np.array([0]))

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda _: b"",
            lambda _: b"ANES",
            lambda snapshot: b"XXXX" + snapshot[4:],
            lambda snapshot: snapshot[:4] + b"\x63\x00" + snapshot[6:],
            lambda snapshot: snapshot[:-1],
            lambda snapshot: snapshot[:40] + bytes([snapshot[40] ^ 1]) + snapshot[41:],
            lambda snapshot: snapshot[:14] + bytes([snapshot[14] ^ 1]) + snapshot[15:],
        ],
    )
    def test_refuses_a_snapshot_that_is_not_whole(self, fed, spoil):
        snapshot = fed.extract(np.array([2]))
        before = fed.extract(np.arange(3))
        with pytest.raises(UnreadableSnapshotError):
            fed.insert(np.array([1]), spoil(snapshot))
        assert fed.extract(np.arange(3)) == before

    def test_refuses_a_snapshot_of_another_number_of_slots(self, fed):
        with pytest.raises(UnreadableSnapshotError):
            fed.insert(np.array([0, 1]), fed.extract(np.array([2])))


class TestDescribe:
    def test_counts_what_was_learned(self, fed):
        standing = describe(fed, np.array([0, 1]))
        assert standing.seen[0] > LEARNING_POINTS
        assert standing.seen[1] == 0
        assert standing.resolution_ms.tolist() == [600_000, 0]
        assert standing.last_times[0] > MONDAY_MS

    @pytest.mark.parametrize(("points", "is_constant"), [(99, False), (100, True)])
    def test_calls_a_hundred_equal_points_constant(self, points, is_constant):
        state = EngineState.new(1)
        times = MONDAY_MS + np.arange(points + 1) * 1000
        values = np.concatenate([[5.0], np.full(points, 7.0)])
        judge(state, np.zeros(points + 1, np.int64), times, values)
        standing = describe(state, np.array([0]))
        assert standing.is_constant[0] == is_constant
        assert standing.last_values[0] == 7.0
