"""Requests whose bodies are whole or refused, and never take every thread while they arrive."""

import threading
from io import BytesIO
from typing import IO, cast

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream

from anomify.errors import Unavailable

ENDS_BY_ITSELF = "wsgi.input_terminated"
# A sender that falls silent in the middle keeps a thread for as long as its connection lasts.
# So many may; the other threads are wanted for requests without a body, which is all reading.
ARRIVING_MAX = 32
ROOM_SECONDS = 1.0

_room = threading.BoundedSemaphore(ARRIVING_MAX)


class BoundedRequest(Request):
    """A request that answers 413 to a body over the limit, in chunks too.

    The library's own reads a body in chunks up to the limit and takes that for all of it: what
    comes after would be left out without a word.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the whole body as a stream, once it has arrived.

        Raises HTTP's 413, and `Unavailable` while too many other bodies are arriving.
        """
        limit = self.max_content_length
        arriving = super().stream
        if self.content_length is None and limit is not None and self.environ.get(ENDS_BY_ITSELF):
            arriving = cast("IO[bytes]", _WholeOrNothing(self.environ["wsgi.input"], limit))
        if not _room.acquire(timeout=ROOM_SECONDS):
            raise Unavailable("Too many requests arrive slowly; send the same again shortly.")
        try:
            return BytesIO(arriving.read())
        finally:
            _room.release()


class _WholeOrNothing(LimitedStream):
    def __init__(self, stream: IO[bytes], limit: int) -> None:
        super().__init__(stream, limit, is_max=True)
        self._rest = stream

    def readall(self) -> bytes:
        found = super().readall()
        if self.is_exhausted and self._rest.read(1):
            raise RequestEntityTooLarge
        return found
