"""Errors caused by a caller or by the outside world, each with its HTTP status."""

from collections.abc import Mapping


def encodable(text: str) -> str:
    r"""Return a text as UTF-8 can encode it: half of a surrogate pair is written as its escape.

    Whatever quotes what somebody sent has to pass here, or the reply cannot be written.

    >>> encodable("a\udcffb")
    'a\\udcffb'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


class AnomifyError(Exception):
    """A failure that a person can be told about: the message says what happened and what to do."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: Mapping[str, str] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        """Keep the message, an optional finer code, and what is wrong with which field."""
        self.message = encodable(message)
        super().__init__(self.message)
        self.code = code or type(self).code
        self.fields = {
            encodable(name): encodable(problem) for name, problem in (fields or {}).items()
        }
        self.retry_after_seconds = retry_after_seconds


class Invalid(AnomifyError):
    """The request can never succeed as it is."""

    status = 400
    code = "invalid"


class Unauthenticated(AnomifyError):
    """Nobody we know is asking."""

    status = 401
    code = "unauthenticated"


class Denied(AnomifyError):
    """We know who asks, and they may not."""

    status = 403
    code = "denied"


class NotFound(AnomifyError):
    """No such thing in the caller's org; foreign things answer the same."""

    status = 404
    code = "not_found"


class Conflict(AnomifyError):
    """The thing is in a state that does not allow this."""

    status = 409
    code = "conflict"


class Gone(AnomifyError):
    """The thing was there once, and cannot be had back any more."""

    status = 410
    code = "gone"


class TooLarge(AnomifyError):
    """The body, after decompression too, is over its limit."""

    status = 413
    code = "too_large"


class Unsupported(AnomifyError):
    """The media type or encoding is not one we speak."""

    status = 415
    code = "unsupported_media_type"


class QuotaExceeded(AnomifyError):
    """A limit of the org's plan or of the caller's rate is reached."""

    status = 429
    code = "quota_exceeded"


class Unavailable(AnomifyError):
    """We cannot do it now; the same request later may succeed."""

    status = 503
    code = "unavailable"


class UpstreamFailed(AnomifyError):
    """Somebody else's server did not do its part; `permanent` says that asking again is useless."""

    status = 502
    code = "upstream_failed"

    def __init__(self, message: str, *, kind: str, permanent: bool = False) -> None:
        """Name the failure by `kind`: dns, timeout, refused, too_large, tls, blocked, status."""
        super().__init__(message, code=f"upstream_{kind}")
        self.kind = kind
        self.permanent = permanent
