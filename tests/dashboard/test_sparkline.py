"""The sparkline: spikes are kept, gaps are not drawn over, nothing is outside its view box."""

import re

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anomify.dashboard.sparkline import COLUMNS, HEIGHT, WIDTH, SparkPoint, sparkline

MINUTE = 60_000
MOST = 1.7976931348623157e308
# Where arithmetic of floats has its ends, and numbers between them.
EXTREMES = st.floats() | st.sampled_from(
    [0.0, 5e-324, -5e-324, 2.3e-308, 1e-300, 1.0, MOST, -MOST, np.inf, -np.inf, np.nan]
)


def spots(*values: float, ranged: bool = True) -> list[SparkPoint]:
    ends = (0.0, 10.0) if ranged else (None, None)
    return [SparkPoint(place * MINUTE, value, *ends) for place, value in enumerate(values)]


def drawn(some, *, span=(0, 0)):
    window = (some[0].time, some[-1].time) if some else (0, MINUTE)
    return sparkline(some, window, span)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


class TestSparkline:
    def test_without_points_it_is_empty(self):
        found = drawn([])
        assert (found.lines, found.bands, found.anomalous) == ((), (), ())

    def test_the_line_covers_the_whole_width(self):
        found = drawn(spots(0, 10, 0))
        assert places(found.lines[0]) == [(0, HEIGHT - 2), (WIDTH / 2, 2), (WIDTH, HEIGHT - 2)]

    def test_a_spike_is_kept_when_points_are_reduced(self):
        values = [5.0] * 5_000
        values[3_333] = 99.0
        found = drawn(spots(*values))
        assert min(y for _, y in places(found.lines[0])) == 2
        assert len(places(found.lines[0])) <= 2 * COLUMNS + 2

    def test_the_line_is_interrupted_at_a_gap(self):
        some = spots(1, 2, 3, 4) + [
            SparkPoint(place * MINUTE, 5.0, 0.0, 10.0) for place in range(40, 44)
        ]
        found = drawn(some)
        assert len(found.lines) == 2
        assert len(found.bands) == 2

    def test_has_no_band_without_an_expected_range(self):
        assert drawn(spots(1, 2, 3, ranged=False)).bands == ()

    def test_the_points_of_the_anomaly_are_a_line_of_their_own(self):
        found = drawn(spots(1, 1, 9, 9, 1), span=(2 * MINUTE, 3 * MINUTE))
        assert [x for x, _ in places(found.anomalous[0])] == [WIDTH / 2, WIDTH * 3 / 4]
        assert (found.spans[0].x, found.spans[0].width) == ("80.0", "40.0")

    def test_an_anomaly_of_one_point_has_a_visible_width(self):
        found = drawn(spots(1, 9, 1), span=(MINUTE, MINUTE))
        assert float(found.spans[0].width) == 3
        assert len(places(found.anomalous[0])) == 2

    def test_values_that_are_not_finite_are_left_out(self):
        assert len(places(drawn(spots(1, float("nan"), 3)).lines[0])) == 2

    def test_a_constant_is_a_line_in_the_middle(self):
        found = drawn(spots(7, 7, 7, ranged=False))
        assert {y for _, y in places(found.lines[0])} == {HEIGHT / 2}

    def test_a_wide_range_leaves_a_fifth_of_the_height_to_the_values(self):
        found = drawn([SparkPoint(place * MINUTE, place % 3, -90.0, 90.0) for place in range(9)])
        heights = [y for _, y in places(found.lines[0])]
        assert max(heights) - min(heights) > 0.19 * (HEIGHT - 4)
        assert {y for _, y in places(found.bands[0].rstrip("Z"))} == {0.0, float(HEIGHT)}

    def test_the_largest_numbers_stay_in_the_view_box(self):
        most = 1.7976931348623157e308
        found = drawn([SparkPoint(0, -most, -most, most), SparkPoint(MINUTE, most, -most, most)])
        assert [y for _, y in places(found.lines[0])] == [HEIGHT - 2, 2]

    @settings(deadline=None)
    @given(st.lists(st.tuples(EXTREMES, EXTREMES | st.none(), EXTREMES | st.none()), max_size=6))
    @example([(0.0, None, None), (5e-324, None, None)])
    @example([(1.0, float("-inf"), float("inf")), (2.0, 1.0, 3.0)])
    def test_numbers_of_any_size_stay_in_the_view_box(self, rows):
        found = drawn([SparkPoint(at * MINUTE, *row) for at, row in enumerate(rows)])
        for path in (*found.lines, *found.bands, *found.anomalous):
            for x, y in places(path.rstrip("Z")):
                assert -1 <= x <= WIDTH + 1
                assert 0 <= y <= HEIGHT
