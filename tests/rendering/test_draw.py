from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anomify.errors import Invalid
from anomify.rendering import curves
from anomify.rendering.chart import ChartEvent, ForecastRange, Mark, PatternCurve
from anomify.rendering.draw import draw_chart, draw_notice
from anomify.rendering.encode import encode_png
from anomify.rendering.theme import LIGHT
from tests.rendering.charts import MINUTE, START, chart, no_range

# The curves begin below the words of the heading and end above those of the axis.
CURVES = slice(36, 255)
# Where arithmetic of floats has its ends, and numbers between them.
EXTREMES = st.floats() | st.sampled_from(
    [
        *(0.0, -0.0, 5e-324, -5e-324, 2.3e-308, 1e-300, 1e-290, 1e300, 1e308, -1e308),
        *(
            1.7976931348623157e308,
            -1.7976931348623157e308,
            np.inf,
            -np.inf,
            np.nan,
            1.0,
            1 + 2**-52,
        ),
    ]
)


def near(drawing, colour, tolerance=40):
    """Return where a picture shows a colour, its blends with the background left out."""
    pixels = drawing.pixels[..., :3].astype(int)
    return (np.abs(pixels - colour) <= tolerance).all(axis=2)


def columns_of(drawing, colour, tolerance=70):
    """Return the columns of pixels in which the curves show the colour."""
    return set(np.flatnonzero(near(drawing, colour, tolerance)[CURVES].any(axis=0)).tolist())


def widened(shown):
    """Return the pixels and their neighbours of all four sides."""
    wide = shown.copy()
    for axis in (0, 1):
        wide |= np.roll(shown, 1, axis) | np.roll(shown, -1, axis)
    return wide


class TestDrawChart:
    def test_has_the_size_asked_for_times_its_scale(self):
        assert draw_chart(chart(width=390, height=200)).pixels.shape == (200, 390, 4)
        assert draw_chart(chart(width=390, height=200, scale=2)).pixels.shape == (400, 780, 4)

    def test_draws_the_value_from_edge_to_edge(self):
        shown = columns_of(draw_chart(chart()), LIGHT.value)
        assert set(range(14, 755)) <= shown

    def test_draws_the_forecast_after_the_newest_point_fainter(self):
        until = START + 80 * MINUTE
        ahead = ForecastRange(
            START + np.arange(61, 81) * MINUTE, np.full(20, 92.0), np.full(20, 108.0)
        )
        without = draw_chart(chart(until_time=until)).pixels[CURVES].astype(int)
        drawing = draw_chart(chart(until_time=until, forecast=ahead)).pixels[CURVES].astype(int)
        changed = np.flatnonzero((drawing != without).any(axis=(0, 2)))
        assert changed.max() - changed.min() > 150
        # The middle of the band, before the newest point and after it.
        middle = drawing.shape[0] // 2
        background = np.array(LIGHT.background)
        known = np.abs(drawing[:, 60] - [*background, 255]).sum(axis=1)
        expected = np.abs(drawing[middle, changed.max() - 20, :3] - background).sum()
        assert 0 < expected < np.max(known)

    def test_does_not_draw_over_a_gap(self):
        times = START + np.arange(61) * MINUTE
        kept = (np.arange(61) < 20) | (np.arange(61) >= 40)
        values = np.full(kept.sum(), 5.0)
        drawing = draw_chart(
            chart(values, times=times[kept], **no_range(len(values)), display_anomalies=False)
        )
        shown = columns_of(drawing, LIGHT.value)
        assert not shown & set(range(260, 500))
        assert {20, 240, 530, 740} <= shown

    def test_does_not_draw_over_a_value_that_is_nan(self):
        values = np.full(61, 5.0)
        values[30] = np.nan
        shown = columns_of(draw_chart(chart(values, **no_range(61))), LIGHT.value)
        assert not shown & set(range(376, 392))
        assert {360, 400} <= shown

    def test_draws_a_point_between_two_gaps(self):
        values = np.full(61, 5.0)
        values[[29, 31]] = np.nan
        shown = columns_of(draw_chart(chart(values, **no_range(61))), LIGHT.value)
        assert shown & set(range(380, 389))

    def test_draws_every_spike_among_many_points(self):
        values = np.zeros(100_000)
        values[66_666] = 1.0
        times = START + np.arange(100_000) * 36
        drawing = draw_chart(chart(values, times=times, **no_range(100_000)))
        high = near(drawing, LIGHT.value)[50:150].any(axis=0)
        assert np.flatnonzero(high).size in {1, 2, 3, 4}

    def test_two_points_a_column_cover_what_all_points_cover(self, monkeypatch):
        values = np.random.default_rng(5).normal(size=20_000).cumsum()
        times = START + np.arange(20_000) * 180
        requested = chart(values, times=times, **no_range(20_000))
        thinned = near(draw_chart(requested), LIGHT.value, 90)
        every_row = curves.extremes_by_column(np.arange(20_000), values, np.zeros(20_000, np.int64))
        monkeypatch.setattr(curves, "extremes_by_column", lambda *_: every_row)
        whole = near(draw_chart(requested), LIGHT.value, 90)
        assert not (thinned & ~widened(whole)).any()
        assert not (whole & ~widened(thinned)).any()

    def test_fills_the_expected_range_only_where_there_is_one(self):
        lowers = np.full(61, 90.0)
        lowers[:30] = np.nan
        requested = chart(np.full(61, 100.0), lowers=lowers, uppers=np.full(61, 110.0))
        band = np.rint(np.array(LIGHT.background) * 0.85 + np.array(LIGHT.band) * 0.15)
        shown = columns_of(draw_chart(requested), band, 2)
        filled = near(draw_chart(requested), band, 2)[CURVES].sum(axis=0)
        assert shown
        assert filled[100:370].max() <= 2
        assert (filled[400:740] > 80).mean() > 0.95

    def test_marks_an_anomaly_higher_the_higher_its_score(self):
        def top(score):
            mark = Mark(START + 30 * MINUTE, START + 30 * MINUTE, score)
            shown = near(draw_chart(chart(anomalies=(mark,))), LIGHT.anomaly)
            return np.flatnonzero(shown[CURVES].any(axis=1)).min()

        assert top(1.0) < top(0.6) < top(0.2)

    def test_shades_a_running_anomaly_to_the_end_of_the_window(self):
        span = np.rint(np.array(LIGHT.background) * 0.9 + np.array(LIGHT.anomaly) * 0.1)
        mark = Mark(START + 45 * MINUTE, None, 0.8)
        drawing = draw_chart(chart(anomalies=(mark,), **no_range(61)))
        shaded = near(drawing, span, 2)[CURVES].sum(axis=0)
        assert shaded[:560].max() == 0
        assert (shaded[590:750] > 80).mean() > 0.95

    def test_shades_a_match_in_its_own_colour(self):
        span = np.rint(np.array(LIGHT.background) * 0.9 + np.array(LIGHT.match) * 0.1)
        mark = Mark(START + 30 * MINUTE, START + 45 * MINUTE, 0.8)
        drawing = draw_chart(chart(matches=(mark,), **no_range(61)))
        shaded = near(drawing, span, 2)[CURVES].sum(axis=0)
        assert shaded[:370].max() == 0
        assert (shaded[400:550] > 80).mean() > 0.95
        assert shaded[580:].max() == 0

    def test_draws_a_pattern_below_the_value_at_its_own_times(self):
        times = START + np.arange(20, 41) * MINUTE
        drawing = draw_chart(
            chart(pattern=PatternCurve(times, np.full(21, 130.0), "Pattern 12"), **no_range(61))
        )
        shown = columns_of(drawing, LIGHT.pattern, 20)
        assert min(shown) == pytest.approx(260, abs=6)
        assert max(shown) == pytest.approx(505, abs=6)
        # The axis reaches to the pattern, which is higher than any value.
        rows = np.flatnonzero(near(drawing, LIGHT.pattern, 20)[CURVES].any(axis=1))
        values = np.flatnonzero(near(drawing, LIGHT.value)[CURVES].any(axis=1))
        assert rows.max() < values.min()

    def test_draws_a_pattern_alone_where_the_window_has_no_points(self):
        pattern = PatternCurve(START + np.arange(30) * MINUTE, np.arange(30.0), "Pattern 12")
        drawing = draw_chart(chart([], pattern=pattern))
        assert columns_of(drawing, LIGHT.pattern, 20)

    def test_writes_its_notes_between_the_title_and_the_curves(self):
        bare = draw_chart(chart(display_legend=False))
        noted = draw_chart(chart(display_legend=False, notes=("Like pattern 12.", "Valid.")))
        tops = [
            np.flatnonzero(near(drawing, LIGHT.value)[26:].any(axis=1)).min()
            for drawing in (bare, noted)
        ]
        assert tops[1] > tops[0] + 20
        assert near(noted, LIGHT.ink)[26:60].any()

    def test_hides_anomalies_and_matches_on_request(self):
        mark = (Mark(START + 10 * MINUTE, START + 20 * MINUTE),)
        shown = draw_chart(chart(anomalies=mark, matches=mark))
        hidden = draw_chart(
            chart(anomalies=mark, matches=mark, display_anomalies=False, display_matches=False)
        )
        assert near(shown, LIGHT.anomaly).any()
        assert near(shown, LIGHT.match).any()
        assert not near(hidden, LIGHT.anomaly).any()
        assert not near(hidden, LIGHT.match).any()

    def test_draws_a_dashed_line_for_an_event_in_the_window_unless_disabled(self):
        event = ChartEvent(START + 30 * MINUTE, "Deploy 1.2.3")
        outside = ChartEvent(START - MINUTE, "Before")
        bare = {"values": [], "events": (event, outside), "display_legend": False}

        lines = near(draw_chart(chart(**bare)), LIGHT.event)[CURVES].sum(axis=0)
        height = CURVES.stop - CURVES.start
        [tallest] = np.flatnonzero(lines > height / 3)
        assert lines[tallest] < height * 0.7
        assert tallest == pytest.approx(389, abs=12)
        hidden = draw_chart(chart(**bare, display_events=False))
        assert not near(hidden, LIGHT.event).any()

    def test_shortens_the_text_of_an_event_to_the_available_width(self):
        def inked(*minutes, label="Deploy 1.2.3"):
            events = tuple(ChartEvent(START + minute * MINUTE, label) for minute in minutes)
            drawing = draw_chart(chart([], events=events, display_legend=False))
            return int(near(drawing, LIGHT.event, 90)[CURVES].sum())

        assert inked(10) > inked(10, label=".")
        crowd = inked(10, 11) - inked(11)
        assert crowd < inked(10, label=".")

    def test_uses_the_space_of_hidden_axes_for_the_curve(self):
        bare = draw_chart(chart(display_x_axis=False, display_y_axis=False, **no_range(61)))
        assert max(np.flatnonzero(near(bare, LIGHT.value).any(axis=0))) >= 785
        assert max(np.flatnonzero(near(bare, LIGHT.value).any(axis=1))) >= 265

    def test_draws_the_legend_only_on_request(self):
        with_words, without = draw_chart(chart()), draw_chart(chart(display_legend=False))
        corner = (slice(5, 30), slice(500, 790))
        assert near(with_words, LIGHT.muted)[corner].any()
        assert not near(without, LIGHT.muted)[corner].any()

    def test_states_that_there_is_no_data(self):
        drawing = draw_chart(chart([]))
        assert near(drawing, LIGHT.muted)[CURVES, 250:550].any()
        assert not near(drawing, LIGHT.value)[CURVES].any()

    def test_draws_the_dark_theme_dark(self):
        drawing = draw_chart(chart(theme="dark"))
        assert np.median(drawing.pixels[..., :3]) < 40

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(st.tuples(EXTREMES, EXTREMES, EXTREMES), max_size=8),
        st.lists(st.tuples(EXTREMES, EXTREMES), max_size=3),
    )
    @example([(0.0, 0.0, 0.0), (5e-324, 0.0, 0.0)], [])
    @example([(1e308, -1e308, 1e308), (-1e308, -1e308, 1e308)], [(-1.7e308, 1.7e308)])
    def test_draws_values_of_any_size(self, points, ahead):
        values, lowers, uppers = np.array(points, float).reshape(len(points), 3).T
        low_ahead, high_ahead = np.array(ahead, float).reshape(len(ahead), 2).T
        times = START + MINUTE * (len(points) + np.arange(len(ahead)))
        drawing = draw_chart(
            chart(
                values,
                lowers=lowers,
                uppers=uppers,
                forecast=ForecastRange(times, low_ahead, high_ahead),
                width=200,
                height=100,
                anomalies=(Mark(START, None),),
            )
        )
        assert encode_png(drawing).startswith(b"\x89PNG")

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.floats(width=64), max_size=40),
        st.lists(st.tuples(st.integers(-10, 90), st.one_of(st.none(), st.integers(-10, 90)))),
        st.integers(200, 500),
        st.integers(100, 300),
        st.floats(),
        st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
        st.text(max_size=20),
    )
    def test_draws_whatever_there_may_be(self, values, spans, width, height, bound, zone, unit):
        marks = tuple(
            Mark(START + first * MINUTE, None if last is None else START + last * MINUTE, bound)
            for first, last in spans[:10]
        )
        with np.errstate(all="ignore"):
            lowers, uppers = np.array(values) - bound, np.array(values) + bound
        drawing = draw_chart(
            chart(
                values,
                lowers=lowers,
                uppers=uppers,
                anomalies=marks,
                matches=marks,
                width=width,
                height=height,
                timezone=zone,
                title=unit,
                unit=unit,
            )
        )
        assert drawing.pixels.shape == (height, width, 4)
        assert encode_png(drawing)

    @pytest.mark.parametrize("value", [0.0, 5.0, -3e-200, 1e300, -1e308, 5e-324])
    def test_draws_a_constant_of_any_size_as_a_line(self, value):
        shown = columns_of(draw_chart(chart(np.full(61, value), **no_range(61))), LIGHT.value)
        assert len(shown) > 500

    def test_gives_the_same_bytes_from_eight_threads_at_once(self):
        charts = [
            chart(
                np.random.default_rng(seed).normal(size=3_000) * 10**seed,
                title=f"metric {seed}",
                times=START + np.arange(3_000) * 1_200,
                scale=1 + seed % 2,
                theme="dark" if seed % 3 else "light",
            )
            for seed in range(4)
        ]
        alone = [encode_png(draw_chart(each)) for each in charts]
        barrier = Barrier(8)

        def together(number):
            barrier.wait()
            order = charts[number % 4 :] + charts[: number % 4]
            pictures = [encode_png(draw_chart(each)) for each in order]
            return pictures[-(number % 4) :] + pictures[: -(number % 4)] if number % 4 else pictures

        with ThreadPoolExecutor(8) as threads:
            for pictures in threads.map(together, range(8)):
                assert pictures == alone


class TestDrawNotice:
    def test_draws_its_sentence_in_the_middle(self):
        drawing = draw_notice("Too busy", width=300, height=120)
        ink = near(drawing, LIGHT.muted)
        rows, columns = np.nonzero(ink)
        assert drawing.pixels.shape == (120, 300, 4)
        assert abs(rows.mean() - 60) < 6
        assert abs(columns.mean() - 150) < 10

    def test_refuses_a_size_that_is_no_picture(self):
        with pytest.raises(Invalid):
            draw_notice("Too busy", width=10, height=10)

    def test_cuts_a_sentence_that_is_too_long(self):
        assert draw_notice("word " * 100, width=200, height=100).pixels.shape == (100, 200, 4)
