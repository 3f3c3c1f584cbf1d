from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from threading import Event

import pytest

from anomify.anomaly.painting import MOST_WAITING, Studio, busy_picture
from anomify.errors import Unavailable
from tests.rendering.charts import chart

PNG = b"\x89PNG\r\n\x1a\n"


class TestStudio:
    def test_paints_a_chart(self):
        assert Studio().paint(chart()).startswith(PNG)

    def test_refuses_after_its_wait_when_every_easel_is_taken(self):
        studio = Studio(easels=1, wait_seconds=0.01)
        with studio.easel(), pytest.raises(Unavailable):
            studio.paint(chart())
        assert studio.paint(chart()).startswith(PNG)

    def test_gives_an_easel_back_when_drawing_fails(self):
        studio = Studio(easels=1, wait_seconds=0.01)
        for _ in range(3 + MOST_WAITING):
            with pytest.raises(ZeroDivisionError), studio.easel():
                raise ZeroDivisionError
        assert studio.paint(chart()).startswith(PNG)

    def test_lets_only_so_many_wait(self):
        studio = Studio(easels=1, wait_seconds=30)
        done = Event()

        def hold():
            with studio.easel():
                done.wait(30)

        with ThreadPoolExecutor(MOST_WAITING + 2) as threads, ExitStack() as stack:
            stack.callback(done.set)
            held = [threads.submit(hold) for _ in range(MOST_WAITING + 2)]
            # One draws, sixteen wait, and of all only one is turned away, at once.
            refused = next(as_completed(held, timeout=30))
            assert isinstance(refused.exception(), Unavailable)
            done.set()
            assert sum(one.exception() is not None for one in held) == 1


class TestBusyPicture:
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_is_a_small_png_in_either_theme(self, theme):
        assert busy_picture(theme).startswith(PNG)
        assert len(busy_picture(theme)) < 5_000
