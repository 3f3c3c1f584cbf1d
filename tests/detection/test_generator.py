import numpy as np
import pytest

from anomify.detection.generated_incidents import IncidentKind
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate

MONDAY_MS = 1_790_553_600_000


class TestGenerate:
    def test_gives_the_same_metrics_for_the_same_seed(self):
        for one, other in zip(
            generate(1, MONDAY_MS, 300, 7), generate(1, MONDAY_MS, 300, 7), strict=True
        ):
            assert one.name == other.name
            np.testing.assert_array_equal(one.values, other.values)
            assert one.incidents == other.incidents

    def test_gives_others_for_another_seed(self):
        [one] = generate(1, MONDAY_MS, 300, 7, [GeneratedKind.CPU])
        [other] = generate(2, MONDAY_MS, 300, 7, [GeneratedKind.CPU])
        assert one.values[:100].tolist() != other.values[:100].tolist()

    def test_names_each_metric_once(self):
        names = [metric.name for metric in generate(1, MONDAY_MS, 3600, 2, count=200)]
        assert len(set(names)) == 200

    @pytest.mark.parametrize("kind", list(GeneratedKind))
    def test_makes_plausible_values_in_order(self, kind):
        [metric] = generate(3, MONDAY_MS, 60, 8, [kind], incidents_a_week=3.0)
        assert metric.kind == kind
        assert len(metric.times) == len(metric.values)
        assert (np.diff(metric.times) > 0).all()
        assert metric.times[0] >= MONDAY_MS
        assert np.isfinite(metric.values).all()
        assert (metric.values >= 0.0).all()
        if kind == GeneratedKind.CPU:
            assert metric.values.max() <= 100.0

    def test_labels_incidents_apart_from_each_other_and_from_the_first_days(self):
        metrics = generate(4, MONDAY_MS, 60, 14, count=16, incidents_a_week=3.0)
        incidents = [incident for metric in metrics for incident in metric.incidents]
        assert {incident.kind for incident in incidents} == set(IncidentKind)
        for metric in metrics:
            ends = [incident.end_ms for incident in metric.incidents]
            starts = [incident.start_ms for incident in metric.incidents]
            assert all(start >= MONDAY_MS + 2 * 86_400_000 for start in starts)
            assert all(start <= end for start, end in zip(starts, ends, strict=True))
            assert all(end < start for end, start in zip(ends, starts[1:], strict=False))

    def test_counts_up_and_restarts(self):
        [metric] = generate(5, MONDAY_MS, 60, 30, [GeneratedKind.COUNTER])
        falls = np.diff(metric.values) < 0
        assert 0 < falls.sum() < 20

    def test_makes_nothing_of_no_time(self):
        assert [len(metric.times) for metric in generate(1, MONDAY_MS, 60, 0)] == [0] * len(
            GeneratedKind
        )
