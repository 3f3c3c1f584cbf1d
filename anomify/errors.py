"""Errors caused by a caller or by the outside world, each with its HTTP status."""

from collections.abc import Mapping


def encodable(text: str) -> str:
    r"""Return a text that UTF-8 can encode: an unpaired surrogate is written as its escape.

    Every text that quotes a request must be converted by this function, because a reply with an
    unpaired surrogate cannot be encoded.

    >>> encodable("a\udcffb")
    'a\\udcffb'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


class AnomifyError(Exception):
    """The base class of errors that callers see; the message says what happened and what to do."""

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
        """Take the message, an optional finer code, and a sentence for each wrong field."""
        self.message = encodable(message)
        super().__init__(self.message)
        self.code = code or type(self).code
        self.fields = {
            encodable(name): encodable(problem) for name, problem in (fields or {}).items()
        }
        self.retry_after_seconds = retry_after_seconds


class Invalid(AnomifyError):
    """The request is not valid; repeating it cannot succeed."""

    status = 400
    code = "invalid"


class Unauthenticated(AnomifyError):
    """The caller has no valid credentials."""

    status = 401
    code = "unauthenticated"


class Denied(AnomifyError):
    """The caller is known and may not do this."""

    status = 403
    code = "denied"


class NotFound(AnomifyError):
    """The object does not exist in the caller's org; objects of other orgs give the same error."""

    status = 404
    code = "not_found"


class Conflict(AnomifyError):
    """The object is in a state that does not allow this."""

    status = 409
    code = "conflict"


class Gone(AnomifyError):
    """The object existed and was deleted."""

    status = 410
    code = "gone"


class TooLarge(AnomifyError):
    """The body is over its limit, before or after decompression."""

    status = 413
    code = "too_large"


class Unsupported(AnomifyError):
    """The media type or encoding is not supported."""

    status = 415
    code = "unsupported_media_type"


class QuotaExceeded(AnomifyError):
    """A limit of the org's plan or of the caller's rate is reached."""

    status = 429
    code = "quota_exceeded"


class Unavailable(AnomifyError):
    """It cannot be done now; the same request may succeed later."""

    status = 503
    code = "unavailable"


class UpstreamFailed(AnomifyError):
    """A call to another server failed; `permanent` is whether a retry is useless."""

    status = 502
    code = "upstream_failed"

    def __init__(self, message: str, *, kind: str, permanent: bool = False) -> None:
        """Name the failure by `kind`: dns, timeout, refused, too_large, tls, blocked, status."""
        super().__init__(message, code=f"upstream_{kind}")
        self.kind = kind
        self.permanent = permanent


class ConfigError(Exception):
    """The settings cannot be used; the message names the key and what would be right."""
