import numpy as np
import pytest

from anomify.detection.detector import Head, judge
from anomify.detection.generated_values import GeneratedKind
from anomify.detection.generator import generate
from anomify.detection.state import LEARNING_POINTS, EngineState
from anomify.detection.threshold import display_score
from tests.detection.naive import NaiveGauge

MONDAY_MS = 1_790_553_600_000


def naive_rows(step, times, values):
    naive = NaiveGauge(step)
    return [naive.see(int(time), float(value)) for time, value in zip(times, values, strict=True)]


class TestTheFastPath:
    @pytest.mark.parametrize("step", [60, 300, 3600, 86400])
    @pytest.mark.parametrize(
        "kind", [GeneratedKind.REQUESTS, GeneratedKind.ERRORS, GeneratedKind.DISK]
    )
    def test_agrees_with_the_obvious_twin(self, step, kind):
        days = {60: 7, 300: 16, 3600: 60, 86400: 400}[step]
        [metric] = generate(3, MONDAY_MS, step, days, [kind], incidents_a_week=1.0)
        times, values = metric.times[:6000], metric.values[:6000]
        expected = naive_rows(step, times, values)
        slots = np.zeros(len(times), np.int64)
        for head, name in ((Head.ALARM, "strength"), (Head.NOVELTY, "novelty")):
            verdicts = judge(EngineState.new(1), slots, times, values, head)
            assert verdicts.judged[LEARNING_POINTS:].all()
            told = slice(LEARNING_POINTS, None)
            displays = [row["display"] for row in expected[told]]
            if head is Head.ALARM:
                np.testing.assert_allclose(
                    verdicts.scores[told], display_score(np.array(displays)), rtol=1e-4, atol=1e-6
                )
            for fast, key in (
                (verdicts.strengths, name),
                (verdicts.lowers, "lower"),
                (verdicts.uppers, "upper"),
            ):
                slow = [row[key] for row in expected[told]]
                np.testing.assert_allclose(fast[told], slow, rtol=2e-5, atol=1e-6)
