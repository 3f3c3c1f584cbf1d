from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from threading import Event

import pytest

from anomify.anomaly.render_pool import MOST_WAITING, RenderPool, busy_image
from anomify.errors import Unavailable
from tests.rendering.charts import chart

PNG = b"\x89PNG\r\n\x1a\n"


class TestRenderPool:
    def test_renders_a_chart(self):
        assert RenderPool().render(chart()).startswith(PNG)

    def test_refuses_after_its_wait_when_every_slot_is_taken(self):
        render_pool = RenderPool(slots=1, wait_seconds=0.01)
        with render_pool.slot(), pytest.raises(Unavailable):
            render_pool.render(chart())
        assert render_pool.render(chart()).startswith(PNG)

    def test_frees_the_slot_when_drawing_fails(self):
        render_pool = RenderPool(slots=1, wait_seconds=0.01)
        for _ in range(3 + MOST_WAITING):
            with pytest.raises(ZeroDivisionError), render_pool.slot():
                raise ZeroDivisionError
        assert render_pool.render(chart()).startswith(PNG)

    def test_limits_the_number_of_waiting_requests(self):
        render_pool = RenderPool(slots=1, wait_seconds=30)
        done = Event()

        def hold():
            with render_pool.slot():
                done.wait(30)

        with ThreadPoolExecutor(MOST_WAITING + 2) as threads, ExitStack() as stack:
            stack.callback(done.set)
            held = [threads.submit(hold) for _ in range(MOST_WAITING + 2)]
            # One draws, sixteen wait, and of all only one is turned away, at once.
            refused = next(as_completed(held, timeout=30))
            assert isinstance(refused.exception(), Unavailable)
            done.set()
            assert sum(one.exception() is not None for one in held) == 1


class TestBusyImage:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_is_a_small_png_in_either_theme(self, theme):
        assert busy_image(theme).startswith(PNG)
        assert len(busy_image(theme)) < 5_000
