"""Render charts as PNG, a few at a time, so that other requests keep the processor."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from anomify.errors import Unavailable
from anomify.rendering.chart import Chart
from anomify.rendering.encode import encode_png
from anomify.rendering.theme import ThemeName

# More at once would share the same processor and finish no earlier.
RENDER_SLOTS: Final = 2
WAIT_SECONDS: Final = 5.0
# More waiting requests than this would occupy the threads that answer others.
MOST_WAITING: Final = 16
BUSY_WIDTH: Final = 400
BUSY_HEIGHT: Final = 120


class RenderPool:
    """A fixed number of slots for rendering, and a waiting queue of limited length."""

    def __init__(self, slots: int = RENDER_SLOTS, wait_seconds: float = WAIT_SECONDS) -> None:
        """Start with all slots free; a request waits at most `wait_seconds` for one."""
        self._wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(slots)
        self._queue = threading.BoundedSemaphore(slots + MOST_WAITING)

    def render(self, chart: Chart) -> bytes:
        """Return the chart as a PNG. Raises `Unavailable` where too many others wait."""
        with self.slot():
            # matplotlib takes a second to load; a process that renders nothing does without.
            from anomify.rendering.draw import draw_chart  # noqa: PLC0415 -- loaded late, see above

            return encode_png(draw_chart(chart))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots while rendering. Raises `Unavailable` if none gets free in time."""
        if not self._queue.acquire(blocking=False):
            raise _busy()
        try:
            if not self._slots.acquire(timeout=self._wait_seconds):
                raise _busy()
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._queue.release()


# One for the whole process.
render_pool: Final = RenderPool()


@lru_cache(maxsize=4)
def busy_image(theme: ThemeName) -> bytes:
    """Return a small PNG that states why there is no chart; rendered once."""
    from anomify.rendering.draw import draw_notice  # noqa: PLC0415 -- loaded late, as above

    sentence = "Too many pictures at once: try again in a moment."
    return encode_png(draw_notice(sentence, width=BUSY_WIDTH, height=BUSY_HEIGHT, theme=theme))


def _busy() -> Unavailable:
    return Unavailable("Too many pictures are being drawn; try again.", retry_after_seconds=2)
