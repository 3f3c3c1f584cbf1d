"""JSON with limits of depth and keys when decoding, and null for NaN when encoding."""

from typing import Any

import msgspec
from flask.json.provider import JSONProvider
from pydantic import BaseModel

from anomify.errors import Invalid, encodable

DEPTH_MAX = 32
KEYS_MAX = 10_000


class StrictJson(JSONProvider):
    """The app's JSON provider: numbers that are not finite become null and are refused as input."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Return the JSON text of a value; NaN and infinities become null."""
        del kwargs
        return encode(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Return the value of a JSON text. Raises `Invalid` for what `decode` refuses."""
        del kwargs
        return decode(s.encode() if isinstance(s, str) else s)


def encode(value: object) -> bytes:
    """Return the JSON of a value, in which NaN and infinities are null.

    An unpaired surrogate, which JSON can contain but UTF-8 cannot, is written as its escape.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(value), enc_hook=_plain)


def decode(body: bytes) -> Any:
    """Return the value of a JSON body. Raises `Invalid` for bad, deep or crowded JSON."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise Invalid(f"The JSON is nested deeper than {DEPTH_MAX} levels.") from None
    except ValueError as error:
        # The decoder's message contains the position and no part of the value.
        reason = str(error).removeprefix("JSON is malformed: ")
        raise Invalid(f"The body is not valid JSON: {reason}.") from None
    _check_shape(value)
    return value


def _check_shape(value: object) -> None:
    keys = 0
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                keys += len(item)
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if keys > KEYS_MAX:
            raise Invalid(f"The JSON has more than {KEYS_MAX:,} keys.")
        level = [item for item in inner if isinstance(item, dict | list)]
        if not level:
            return
    raise Invalid(f"The JSON is nested deeper than {DEPTH_MAX} levels.")


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return msgspec.Raw(value.model_dump_json(by_alias=True).encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")
