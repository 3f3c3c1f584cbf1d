"""Requests with a body limit and a limit of bodies that arrive at once."""

from io import BytesIO
from typing import IO, cast

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream

from anomify.edge.arriving_bodies import ArrivingBodies

ENDS_BY_ITSELF = "wsgi.input_terminated"
# The address of the connection; REMOTE_ADDR may be the one that a trusted proxy sent.
PEER = "anomify.peer"

arriving_bodies = ArrivingBodies()


class BoundedRequest(Request):
    """A request that answers 413 to a body over the limit, in chunks too.

    Werkzeug's own class reads a chunked body only up to the limit and ignores the rest without an
    error.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the whole body as a stream, once it has arrived.

        Raises HTTP's 413, 408 for a body that arrived too slowly, and `Unavailable` while too many
        others are arriving.
        """
        limit = self.max_content_length
        arriving = super().stream
        if self.content_length is None and limit is not None and self.environ.get(ENDS_BY_ITSELF):
            arriving = cast("IO[bytes]", _WholeOrNothing(self.environ["wsgi.input"], limit))
        peer = str(self.environ.get(PEER) or self.environ.get("REMOTE_ADDR", ""))
        with arriving_bodies.arriving(peer, int(self.environ.get("SERVER_PORT", 0))):
            return BytesIO(arriving.read())


class _WholeOrNothing(LimitedStream):
    def __init__(self, stream: IO[bytes], limit: int) -> None:
        super().__init__(stream, limit, is_max=True)
        self._rest = stream

    def readall(self) -> bytes:
        found = super().readall()
        if self.is_exhausted and self._rest.read(1):
            raise RequestEntityTooLarge
        return found
