"""Requests whose bodies are whole or refused, whether or not their length was announced."""

from typing import IO, cast

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.utils import cached_property
from werkzeug.wsgi import LimitedStream

ENDS_BY_ITSELF = "wsgi.input_terminated"


class BoundedRequest(Request):
    """A request that answers 413 to a body over the limit, in chunks too.

    The library's own reads such a body up to the limit and takes that for all of it: what comes
    after it would be left out without a word.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the body as a stream. Raises HTTP's 413 while it is read, or at once."""
        limit = self.max_content_length
        if self.content_length is None and limit is not None and self.environ.get(ENDS_BY_ITSELF):
            body = _WholeOrNothing(self.environ["wsgi.input"], limit)
            return cast("IO[bytes]", body)
        return super().stream


class _WholeOrNothing(LimitedStream):
    def __init__(self, stream: IO[bytes], limit: int) -> None:
        super().__init__(stream, limit, is_max=True)
        self._rest = stream

    def readall(self) -> bytes:
        found = super().readall()
        if self.is_exhausted and self._rest.read(1):
            raise RequestEntityTooLarge
        return found
