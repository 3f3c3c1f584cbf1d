"""Where an excursion begins and ends, how far it goes, and to which side."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.detection.evidence import Evidence
from anomify.detection.excursion import CALM_POINTS, CONTEXT, MOST_POINTS, Excursion, excess_of

MINUTE_MS = 60_000


def excursion(values, onset, lower=8.0, upper=12.0, **options):
    times = np.arange(len(values), dtype=np.int64) * MINUTE_MS
    return Excursion.at(
        onset,
        MINUTE_MS,
        times,
        np.array(values, np.float64),
        lower,
        upper,
        Evidence.ABOVE,
        9.0,
        0,
        0,
        **options,
    )


class TestEnd:
    def test_ends_before_the_first_calm_points_in_a_row(self):
        found = excursion([10] * 70 + [30, 31, 10, 10, 10, 10, 32] + [10] * 20, 70)
        assert found.is_complete
        assert found.length_ms == 6 * MINUTE_MS
        assert len(found.values) - found.context == 7

    def test_runs_while_there_are_fewer_calm_points(self):
        found = excursion([10] * 70 + [30, 31] + [10] * (CALM_POINTS - 1), 70)
        assert not found.is_complete
        assert found.length_ms == MINUTE_MS

    def test_ends_where_the_value_is_nearly_back_although_the_level_has_moved_on(self):
        found = excursion([10] * 70 + [110] * 50 + [25] * 300, 70)
        assert found.is_complete
        assert found.length_ms == 49 * MINUTE_MS

    def test_lasts_until_the_last_point_over_the_threshold(self):
        values = [10] * 70 + [11] * 30
        assert excursion(values, 70).is_complete
        found = excursion(values, 70, last_over_ms=80 * MINUTE_MS)
        assert found.is_complete
        assert found.times[-1] == 80 * MINUTE_MS

    def test_of_a_very_long_one_only_the_first_points_are_kept(self):
        found = excursion([10] * 70 + [30] * (MOST_POINTS + 500), 70)
        assert len(found.values) == CONTEXT + MOST_POINTS + 1
        assert not found.is_complete

    @given(st.lists(st.sampled_from((10.0, 12.5, 30.0, -5.0, math.nan)), max_size=40))
    def test_what_has_ended_stays_the_same_whatever_follows(self, more):
        values = [10.0] * 5 + [30.0] + more
        parts = [excursion(values[:size], 5) for size in range(6, len(values) + 1)]
        whole = parts[-1]
        for part in parts:
            if part.is_complete:
                np.testing.assert_array_equal(part.values, whole.values)
            assert (np.array(part.heights) <= whole.heights).all()
            assert (part.side, part.started_ms) == (whole.side, whole.started_ms)


class TestSize:
    @given(
        st.lists(st.integers(-100, 100), min_size=1, max_size=40),
        st.sampled_from((1e-5, 1.0, 1e9)),
        st.sampled_from((-1e4, 0.0, 1e4)),
    )
    def test_grows_with_the_scale_and_not_with_the_level(self, values, scale, offset):
        plain = excursion([10, 11, *values], 2)
        moved = excursion(
            scale * (np.array([10, 11, *values]) + offset),
            2,
            scale * (8.0 + offset),
            scale * (12.0 + offset),
        )
        assert moved.heights == pytest.approx(scale * np.array(plain.heights), rel=1e-6, abs=1e-9)
        assert moved.swings == pytest.approx(scale * np.array(plain.swings), rel=1e-6, abs=1e-9)
        assert (moved.length_ms, moved.direction) == (plain.length_ms, plain.direction)

    def test_a_drop_has_a_height_below_the_range(self):
        found = excursion([10] * 9 + [2, 1, 3], 9)
        assert (found.heights, found.direction, found.side) == ((0.0, 7.0), -1, -1)

    def test_values_in_the_range_have_no_height_but_a_side(self):
        up, down = excursion([9] * 9 + [11.5], 9), excursion([11] * 9 + [8.5], 9)
        assert (up.height, up.direction, up.side) == (0.0, 0, 1)
        assert (down.height, down.direction, down.side) == (0.0, 0, -1)
        assert up.swings == (2.5, 0.0)
        assert down.moves == (0.0, 2.5)

    def test_the_side_of_a_step_that_was_found_late_is_that_of_the_step(self):
        found = excursion([10] * 40 + [30, 31, 29, 30, 29.5], 44, lower=-20.0, upper=60.0)
        assert found.side == 1
        assert found.moves == (19.5, 0.0)

    def test_points_outside_before_the_onset_are_its_lead(self):
        assert excursion([10] * 40 + [30] * 10, 44).lead_ms == 4 * MINUTE_MS
        assert excursion([10] * 40 + [30] * 10, 40).lead_ms == 0
        assert excursion([30] * 10, 5).lead_ms == 5 * MINUTE_MS
        assert excursion([30] * 10, 0).lead_ms == 0

    def test_gaps_do_not_count_as_outside(self):
        found = excursion([10, math.nan, 10, 30, math.nan, math.nan, 31], 3)
        assert found.length_ms == 3 * MINUTE_MS
        assert found.before == 10
        assert math.isnan(excursion([math.nan, 30], 1).before)
        assert math.isnan(excursion([math.nan, 30], 1).level)
        assert excess_of(np.array([5.0]), math.nan, math.nan).tolist() == [0.0]
