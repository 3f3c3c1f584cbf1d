"""Charts to PNG, a few at a time: pictures never take the processor from everything else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from anomify.errors import Unavailable
from anomify.rendering.chart import Chart
from anomify.rendering.encode import encode_png
from anomify.rendering.theme import ThemeName

# More at once would only share the same processor.
RENDER_SLOTS: Final = 2
WAIT_SECONDS: Final = 5.0
# More in line than this would take the threads that answer other requests.
MOST_WAITING: Final = 16
BUSY_WIDTH: Final = 400
BUSY_HEIGHT: Final = 120


class RenderPool:
    """So many places at which pictures are drawn, and a line before them that has an end."""

    def __init__(self, slots: int = RENDER_SLOTS, wait_seconds: float = WAIT_SECONDS) -> None:
        """Begin with every place free."""
        self._wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(slots)
        self._line = threading.BoundedSemaphore(slots + MOST_WAITING)

    def render(self, chart: Chart) -> bytes:
        """Return the chart as a PNG. Raises `Unavailable` where too many others wait already."""
        with self.slot():
            # The rasteriser takes a second to load and is not wanted in a process without pictures.
            from anomify.rendering.draw import draw_chart  # noqa: PLC0415 -- as said above

            return encode_png(draw_chart(chart))

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places while something is drawn."""
        if not self._line.acquire(blocking=False):
            raise _busy()
        try:
            if not self._slots.acquire(timeout=self._wait_seconds):
                raise _busy()
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._line.release()


# One for the process, for that is what has a processor to share.
render_pool: Final = RenderPool()


@lru_cache(maxsize=4)
def busy_image(theme: ThemeName) -> bytes:
    """Return a small PNG that says why there is no chart; drawn once."""
    from anomify.rendering.draw import draw_notice  # noqa: PLC0415 -- loaded late, as above

    sentence = "Too many pictures at once: try again in a moment."
    return encode_png(draw_notice(sentence, width=BUSY_WIDTH, height=BUSY_HEIGHT, theme=theme))


def _busy() -> Unavailable:
    return Unavailable("Too many pictures are being drawn; try again.", retry_after_seconds=2)
