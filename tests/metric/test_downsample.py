"""Fewer points, the same spikes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.metric.downsample import downsample, downsample_by_step
from anomify.series import Judgements, Series
from tests.kit.points import MINUTE, START, judgements_of, pairs, series

VALUES = st.lists(
    st.tuples(st.integers(1, 10**6), st.floats(-1e300, 1e300)), min_size=1, max_size=200
)


def rising(rows: list[tuple[int, float]]) -> Series:
    times = np.cumsum([row[0] for row in rows]) + START
    return series(*zip(times.tolist(), (row[1] for row in rows), strict=True))


class TestDownsample:
    @given(VALUES, st.integers(1, 50))
    def test_keeps_own_points_in_order_and_no_more_than_asked(
        self, rows: list[tuple[int, float]], most_points: int
    ) -> None:
        whole = rising(rows)
        fewer = downsample(whole, most_points)
        assert len(fewer) == min(len(whole), most_points) or len(fewer) < most_points
        assert (np.diff(fewer.times) > 0).all()
        assert set(pairs(fewer)) <= set(pairs(whole))

    @given(VALUES, st.integers(2, 50))
    def test_keeps_the_greatest_and_the_least(
        self, rows: list[tuple[int, float]], most_points: int
    ) -> None:
        whole = rising(rows)
        fewer = downsample(whole, most_points)
        assert fewer.values.max() == whole.values.max()
        assert fewer.values.min() == whole.values.min()

    @given(VALUES, st.integers(4, 50))
    def test_keeps_the_ends(self, rows: list[tuple[int, float]], most_points: int) -> None:
        whole = rising(rows)
        fewer = downsample(whole, most_points)
        assert fewer.times[[0, -1]].tolist() == whole.times[[0, -1]].tolist()

    def test_keeps_every_spike_and_its_judgement(self) -> None:
        values = np.sin(np.arange(10_000) / 500)
        spikes = [17, 4999, 9000]
        values[spikes] = 50
        judgements = judgements_of(*((float(row in spikes), 0, 1) for row in range(10_000)))
        whole = Series(START + np.arange(10_000) * MINUTE, values, judgements)
        fewer = downsample(whole, 400)
        found = fewer.of(fewer.values == 50)
        assert found.times.tolist() == [START + spike * MINUTE for spike in spikes]
        assert found.judgements.scores.tolist() == [1.0, 1.0, 1.0]
        assert 300 < len(fewer) <= 400

    def test_of_a_short_series_is_that_series(self) -> None:
        whole = series((START, 1.0), (START + 1, 2.0))
        assert downsample(whole, 2) is whole
        assert len(downsample(series(), 10)) == 0

    def test_to_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="0 points"):
            downsample(series((START, 1.0)), 0)


class TestDownsampleByStep:
    def test_keeps_least_and_greatest_of_each_step_of_the_clock(self) -> None:
        values = [3.0, 1.0, 2.0, 5.0, 4.0, 4.0, 9.0]
        whole = series(*((START + n * MINUTE // 2, value) for n, value in enumerate(values)))
        fewer = downsample_by_step(whole, 2 * MINUTE)
        assert pairs(fewer) == [
            (START + MINUTE // 2, 1.0),
            (START + 3 * MINUTE // 2, 5.0),
            (START + 4 * MINUTE // 2, 4.0),
            (START + 6 * MINUTE // 2, 9.0),
        ]

    def test_of_nothing_is_nothing(self) -> None:
        assert len(downsample_by_step(series(), MINUTE)) == 0


class TestNoNumbers:
    def test_are_left_out_and_stop_nothing(self) -> None:
        nothing = np.full(50, np.nan)
        some = nothing.copy()
        some[7], some[30] = 3.0, -2.0
        for values, kept in ((nothing, set()), (some, {3.0, -2.0})):
            series = Series(np.arange(50), values, Judgements.none(50))
            for most_points in (1, 2, 5, 20):
                found = downsample(series, most_points).values
                assert len(found) <= most_points
                if most_points > 4:
                    assert set(found[np.isfinite(found)]) == kept
            by_step = downsample_by_step(series, 10).values
            assert set(by_step[np.isfinite(by_step)]) == kept
