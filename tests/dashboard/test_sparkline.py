"""The small picture: every spike in it, holes left open, nothing outside its box."""

import re

from anomify.dashboard.sparkline import COLUMNS, HEIGHT, WIDTH, Spot, sparkline

MINUTE = 60_000


def spots(*values: float, ranged: bool = True) -> list[Spot]:
    ends = (0.0, 10.0) if ranged else (None, None)
    return [Spot(place * MINUTE, value, *ends) for place, value in enumerate(values)]


def drawn(some, *, span=(0, 0)):
    window = (some[0].time, some[-1].time) if some else (0, MINUTE)
    return sparkline(some, window, span)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


class TestSparkline:
    def test_nothing_is_drawn_of_nothing(self):
        found = drawn([])
        assert (found.lines, found.bands, found.found) == ((), (), ())

    def test_the_line_goes_from_side_to_side(self):
        found = drawn(spots(0, 10, 0))
        assert places(found.lines[0]) == [(0, HEIGHT - 2), (WIDTH / 2, 2), (WIDTH, HEIGHT - 2)]

    def test_a_spike_stays_when_points_are_thinned(self):
        values = [5.0] * 5_000
        values[3_333] = 99.0
        found = drawn(spots(*values))
        assert min(y for _, y in places(found.lines[0])) == 2
        assert len(places(found.lines[0])) <= 2 * COLUMNS + 2

    def test_a_hole_in_time_is_left_open(self):
        some = spots(1, 2, 3, 4) + [Spot(place * MINUTE, 5.0, 0.0, 10.0) for place in range(40, 44)]
        found = drawn(some)
        assert len(found.lines) == 2
        assert len(found.bands) == 2

    def test_there_is_no_band_where_nothing_was_expected(self):
        assert drawn(spots(1, 2, 3, ranged=False)).bands == ()

    def test_the_points_of_the_anomaly_are_drawn_once_more(self):
        found = drawn(spots(1, 1, 9, 9, 1), span=(2 * MINUTE, 3 * MINUTE))
        assert [x for x, _ in places(found.found[0])] == [WIDTH / 2, WIDTH * 3 / 4]
        assert (found.spans[0].x, found.spans[0].width) == ("80.0", "40.0")

    def test_an_anomaly_of_one_point_is_seen(self):
        found = drawn(spots(1, 9, 1), span=(MINUTE, MINUTE))
        assert float(found.spans[0].width) == 3
        assert len(places(found.found[0])) == 2

    def test_numbers_that_are_none_are_left_out(self):
        assert len(places(drawn(spots(1, float("nan"), 3)).lines[0])) == 2

    def test_a_constant_is_a_line_in_the_middle(self):
        found = drawn(spots(7, 7, 7, ranged=False))
        assert {y for _, y in places(found.lines[0])} == {HEIGHT / 2}

    def test_the_greatest_numbers_stay_in_the_box(self):
        most = 1.7976931348623157e308
        found = drawn([Spot(0, -most, -most, most), Spot(MINUTE, most, -most, most)])
        assert [y for _, y in places(found.lines[0])] == [HEIGHT - 2, 2]
