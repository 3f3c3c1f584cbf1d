"""The fast distances of shapes are those of a plain loop, whatever scale, level, gaps or noise."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anomify.detection.similarity import (
    MOTIF_MINUTES,
    UNRELATED,
    find_motif,
    motif_distances,
    on_grid,
    shape_distances,
    z_normalised,
)
from tests.detection import naive_similarity as naive

MINUTE_MS = 60_000
SCALES = st.sampled_from((1e-9, 1e-5, 1.0, 1e6, 1e12))
# Whole numbers, so that a stretch is exactly constant or clearly not.
WHOLE = st.integers(-50, 50)
WITH_GAPS = st.one_of(WHOLE, st.none())


def floats(values):
    return np.array([math.nan if value is None else value for value in values], np.float64)


class TestShapeDistances:
    @given(
        rows=st.integers(1, 12).flatmap(
            lambda size: st.lists(
                st.lists(WITH_GAPS, min_size=size, max_size=size), min_size=2, max_size=5
            )
        ),
        scale=SCALES,
        noise=st.sampled_from((0.0, 0.5, 5.0)),
    )
    @example(rows=[[1, None, 3], [None, 2, None]], scale=1.0, noise=0.0)
    @example(rows=[[5, 5, 5], [7, 7, 7], [1, 2, 3]], scale=1e-5, noise=0.0)
    def test_is_that_of_a_plain_loop(self, rows, scale, noise):
        query, stretches = scale * floats(rows[0]), scale * np.array([floats(r) for r in rows[1:]])
        noises = np.full(len(stretches), scale * noise / 2)
        found = shape_distances(query, stretches, scale * noise, noises)
        expected = [
            naive.shape_distance(query.tolist(), row.tolist(), scale * noise, scale * noise / 2)
            for row in stretches
        ]
        np.testing.assert_allclose(found, expected, atol=1e-6)

    @given(
        st.lists(WHOLE, min_size=3, max_size=30).filter(lambda values: len(set(values)) > 1),
        SCALES,
        st.sampled_from((-1e6, -40.0, 0.0, 40.0, 1e6)),
    )
    def test_scale_and_offset_make_no_difference(self, values, scale, offset):
        query = floats(values)
        moved = (query + offset) * scale
        assert shape_distances(query, moved[None], 0.0, np.zeros(1))[0] == pytest.approx(
            0, abs=1e-4
        )

    def test_opposite_shapes_are_twice_as_far_as_a_constant_one(self):
        query = np.arange(10.0)
        rows = np.array([-query, np.full(10, 3.0)])
        np.testing.assert_allclose(shape_distances(query, rows, 0.0, np.zeros(2)), [2.0, 1.0])

    def test_shapes_with_too_few_points_in_common_are_not_comparable(self):
        query = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
        rows = np.array([[np.nan, np.nan, 1.0, 2.0, 3.0, 4.0], [np.nan] * 6])
        assert np.isinf(shape_distances(query, rows, 0.0, np.zeros(2))).all()

    def test_noise_does_not_make_a_job_another_shape(self):
        rng = np.random.default_rng(3)
        job = np.repeat([0.0, 6.0], 30)
        query, row = job + rng.normal(0, 2, 60), job + rng.normal(0, 2, 60)
        with_noise = shape_distances(query, row[None], 0.0, np.zeros(1))[0]
        without = shape_distances(query, row[None], 2.0, np.full(1, 2.0))[0]
        assert without < 0.7 * with_noise


class TestMotifDistances:
    @given(
        st.lists(WITH_GAPS, min_size=0, max_size=12),
        st.lists(WITH_GAPS, min_size=0, max_size=40),
        SCALES,
        st.sampled_from((-1e4, 0.0, 1e4)),
    )
    @example([0, 1, 0], [5, 5, 5, 5, 7, 5], 1e-5, 0.0)
    @example([5, 5], [1, 1, None, 2, 2, 3], 1.0, 0.0)
    def test_is_that_of_a_plain_loop(self, query, series, scale, offset):
        first, second = scale * (floats(query) + offset), scale * (floats(series) + offset)
        expected = naive.motif_distances(first.tolist(), second.tolist())
        np.testing.assert_allclose(motif_distances(first, second), expected, atol=1e-4)

    def test_a_spike_far_away_does_not_blur_small_shapes(self):
        rng = np.random.default_rng(1)
        series = rng.normal(0, 1, 500)
        series[400] = 1e6
        query = series[100:130].copy()
        assert motif_distances(query, series)[100] == pytest.approx(0, abs=1e-3)


class TestFindMotif:
    @pytest.mark.parametrize(
        ("seed", "step", "scale"), [(1, 1, 1.0), (2, 5, 1e-5), (3, 5, 1e12), (4, 2, 1.0)]
    )
    def test_is_the_nearest_of_all_stretches_of_all_lengths(self, seed, step, scale):
        rng = np.random.default_rng(seed)
        step_ms = step * MINUTE_MS
        count, newest = 300 // step, 100 // step
        window = scale * rng.normal(0, 1, count).cumsum()
        times = np.arange(count, dtype=np.int64) * step_ms
        values = -3.0 * scale + 2.0 * window[-newest:][::-1]
        found = find_motif(times[:newest], values, times, window, step_ms)
        tried = {}
        for minutes in MOTIF_MINUTES:
            size = minutes // step
            if 12 <= size <= newest:
                query = values[-size:].tolist()
                for place, distance in enumerate(naive.motif_distances(query, window.tolist())):
                    tried[place, size] = distance
        assert found is not None
        assert found.distance == pytest.approx(min(tried.values()), abs=1e-6)
        assert tried[found.index, found.size] == pytest.approx(found.distance, abs=1e-6)

    def test_nothing_is_found_in_less_than_the_shortest_length(self):
        times = np.arange(10, dtype=np.int64) * MINUTE_MS
        assert find_motif(times, times * 1.0, times, times * 1.0, MINUTE_MS) is None

    def test_nothing_is_found_where_the_newest_points_have_a_gap(self):
        times = np.arange(60, dtype=np.int64) * MINUTE_MS
        times[50:] += 30 * MINUTE_MS
        assert find_motif(times, times * 1.0, times, times * 1.0, MINUTE_MS) is None


class TestOnGrid:
    @given(st.lists(WITH_GAPS, min_size=1, max_size=30), st.integers(-5, 5))
    def test_keeps_every_value_that_lies_on_the_grid(self, values, before):
        times = np.arange(len(values), dtype=np.int64) * MINUTE_MS
        grid = on_grid(times, floats(values), before * MINUTE_MS, MINUTE_MS, 40)
        for place, value in enumerate(floats(values)):
            row = place - before
            if math.isfinite(value) and 0 <= row < 40:
                assert grid[row] == value

    def test_leaves_a_gap_empty(self):
        times = np.array([0, 1, 2, 9, 10], np.int64) * MINUTE_MS
        grid = on_grid(times, np.arange(5.0), 0, MINUTE_MS, 11)
        assert np.isnan(grid[3:9]).all()
        assert np.isfinite(grid[[0, 1, 2, 9, 10]]).all()


def test_a_normalised_stretch_has_mean_0_and_deviation_1():
    values = z_normalised(np.array([1e-300, 3e-300, np.nan, 8e-300]))
    assert np.nanmean(values) == pytest.approx(0)
    assert np.nanstd(values) == pytest.approx(1)
    assert math.sqrt(2) == pytest.approx(UNRELATED)
