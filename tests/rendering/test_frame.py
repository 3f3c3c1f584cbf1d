import numpy as np
import pytest

from anomify.rendering.frame import Curve, curve_of, forecast_curve, value_limits
from tests.rendering.charts import chart

NO_FORECAST = np.empty(0)


def limits(values, lower, upper):
    """Return the ends of the value axis of these values with one range for all of them."""
    count = len(values)
    curve = Curve(
        np.arange(count),
        np.asarray(values, np.float64),
        np.broadcast_to(np.asarray(lower, np.float64), count),
        np.broadcast_to(np.asarray(upper, np.float64), count),
        np.zeros(count, np.int64),
    )
    nothing = Curve(NO_FORECAST, NO_FORECAST, NO_FORECAST, NO_FORECAST, NO_FORECAST)
    return value_limits(curve, nothing)


class TestValueLimits:
    def test_contain_values_and_range(self):
        low, high = limits([40.0, 60.0, 50.0], 30.0, 75.0)
        assert low < 30.0
        assert high > 75.0

    def test_leave_a_fifth_to_the_values_where_the_range_is_wide(self):
        low, high = limits([40.0, 60.0, 50.0], -900.0, 1000.0)
        assert 0.18 < 20.0 / (high - low) <= 0.2

    def test_show_an_end_that_a_value_has_left(self):
        low, high = limits([40.0, 42.0, 41.0, 175.0], 0.0, 160.0)
        assert low <= 0.0
        assert high > 175.0

    def test_show_the_range_of_a_constant(self):
        low, high = limits([40.0] * 3, 10.0, 70.0)
        assert low < 10.0
        assert high > 70.0

    @pytest.mark.parametrize("upper", [1e300, np.inf])
    def test_are_finite_for_any_range(self, upper):
        assert np.isfinite(limits([40.0, 60.0], -upper, upper)).all()


class TestCurveOf:
    def test_keeps_the_range_of_each_point_as_it_was_judged(self):
        times = np.arange(61)
        lowers = np.where(times < 30, 20.0, 35.0)
        lowers[40:43] = np.nan
        drawn = chart(values=40.0 + times % 7, lowers=lowers, uppers=lowers + 40.0)
        curve = curve_of(drawn)
        np.testing.assert_array_equal(curve.lowers, drawn.lowers)
        np.testing.assert_array_equal(curve.uppers, drawn.uppers)
        assert forecast_curve(drawn, curve).times.size == 0
