import numpy as np
import pytest

from anomify.rendering.canvas import DOT, TRIANGLE, Canvas

WHITE = (255, 255, 255)
RED = (255, 0, 0)
ALL = (0.0, 0.0, 100.0, 50.0)


@pytest.fixture
def canvas():
    return Canvas(100, 50, 1, WHITE)


def inked(canvas):
    """Return the rows and the columns that are no longer white."""
    rows, columns = np.nonzero((canvas.pixels()[..., :3] != 255).any(axis=2))
    return rows, columns


class TestBox:
    def test_fills_whole_pixels_from_the_top_left(self, canvas):
        canvas.box(10, 5, 20, 8, colour=RED)
        rows, columns = inked(canvas)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 7, 10, 19)

    def test_is_at_least_a_pixel_and_clipped_to_the_canvas(self, canvas):
        canvas.box(10, 10, 10, 10, colour=RED)
        canvas.box(-50, -50, -20, -20, colour=RED)
        canvas.box(300, 300, 400, 400, colour=RED)
        assert len(inked(canvas)[0]) == 1

    def test_mixes_by_its_opacity(self, canvas):
        canvas.box(0, 0, 5, 5, colour=(0, 0, 0), alpha=0.2)
        assert canvas.pixels()[2, 2].tolist() == [204, 204, 204, 255]


class TestLine:
    def test_does_not_connect_runs(self, canvas):
        xs, ys = np.array([10.0, 30.0, 60.0, 80.0]), np.full(4, 25.5)
        begins = np.array([True, False, True, False])
        canvas.line(xs, ys, begins=begins, colour=RED, width=1.5, within=ALL)
        columns = set(inked(canvas)[1].tolist())
        assert {10, 20, 29, 61, 79} <= columns
        assert not columns & set(range(33, 58))

    def test_is_clipped_to_its_frame(self, canvas):
        begins = np.array([True, False])
        canvas.line(
            np.array([-500.0, 500.0]),
            np.array([20.0, 20.0]),
            begins=begins,
            colour=RED,
            width=3,
            within=(20, 0, 40, 50),
        )
        columns = inked(canvas)[1]
        assert (columns.min(), columns.max()) == (20, 39)


class TestArea:
    def test_fills_each_polygon(self, canvas):
        square = np.array([10.0, 20.0, 20.0, 10.0]), np.array([10.0, 10.0, 20.0, 20.0])
        other = square[0] + 40, square[1]
        canvas.area([square, other], colour=RED, alpha=1.0, within=ALL)
        assert len(inked(canvas)[0]) == 200

    def test_without_points_draws_nothing(self, canvas):
        canvas.area([], colour=RED, alpha=1.0, within=ALL)
        assert not len(inked(canvas)[0])


class TestMarks:
    @pytest.mark.parametrize("shape", [TRIANGLE, DOT])
    def test_draws_the_shape_at_each_point(self, canvas, shape):
        canvas.marks(shape, np.array([20.0, 70.0]), np.array([25.0, 25.0]), size=8, colour=RED)
        columns = set(inked(canvas)[1].tolist())
        assert {20, 70} <= columns
        assert not columns & set(range(35, 55))


class TestText:
    def test_is_drawn_above_the_baseline_from_the_left(self, canvas):
        canvas.text(10, 30, "HIM", size=12, colour=(0, 0, 0))
        rows, columns = inked(canvas)
        assert rows.max() <= 30
        assert rows.min() >= 18
        assert 10 <= columns.min() <= 12

    @pytest.mark.parametrize(("x", "baseline"), [(-10, 3), (95, 60), (500, 500), (-500, -500)])
    def test_is_clipped_to_the_canvas(self, canvas, x, baseline):
        canvas.text(x, baseline, "far away", size=12, colour=(0, 0, 0))
        assert canvas.pixels().shape == (50, 100, 4)
        assert (canvas.pixels()[..., 3] == 255).all()

    def test_doubles_with_the_scale(self):
        once, twice = Canvas(100, 50, 1, WHITE), Canvas(100, 50, 2, WHITE)
        assert twice.pixels().shape == (100, 200, 4)
        width = once.text_width("requests", size=12)
        assert twice.text_width("requests", size=12) == pytest.approx(width, rel=0.1)
