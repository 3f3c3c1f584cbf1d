"""Decodes JSON bodies so that an item that cannot be used does not make the others unusable.

Source: RFC 8259, with the deviations that senders have in practice.
"""

import json
import re
from typing import Any, Final

import msgspec

from anomify.errors import Invalid, TooLarge

# No protocol here nests deeper; what is nested deeper is decoded as an empty list.
DEPTH_MAX: Final = 32
# Limits the memory of the decoded values; 100,000 points have some hundred thousand of them.
VALUES_MAX: Final = 3_000_000
# No finite float64 has more digits before the point; Python's int() refuses more than 4,300.
_DIGITS_MAX: Final = 400
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def decode_body(body: bytes) -> Any:
    r"""Return the value of a JSON body. Raises `Invalid` for what is no JSON, or is cut short.

    Senders write what JSON does not allow: NaN, Infinity, bytes that are not UTF-8, single
    surrogates, very long numbers and very deep nesting. These are decoded to values that no valid
    datapoint has, so that only the item with them is refused. Raises `TooLarge` for more than
    `VALUES_MAX` values.

    >>> decode_body(b'[1, NaN, "\\udcff", 1e999]')
    [1, nan, '\udcff', inf]
    """
    values = body.count(b",") + body.count(b"[") + body.count(b"{")
    if values > VALUES_MAX:
        raise TooLarge(
            f"the JSON holds more than {VALUES_MAX:,} values; send it in several requests"
        )
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        body = _flattened(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        text = body.decode(json.detect_encoding(body), "surrogateescape")
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError) as damage:
        raise Invalid("the body is not JSON, or was cut short", code="bad_json") from damage


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS_MAX else float(digits)


def _flattened(body: bytes) -> bytes:
    """Return the JSON with an empty list in place of everything nested deeper than `DEPTH_MAX`."""
    parts: list[bytes] = []
    depth = kept_from = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        if found[0] in {b"[", b"{"}:
            depth += 1
            if depth == DEPTH_MAX + 1:
                parts += [body[kept_from : found.start()], b"[]"]
        elif found[0] in {b"]", b"}"}:
            if depth == DEPTH_MAX + 1:
                kept_from = found.end()
            depth -= 1
    if depth:
        raise Invalid("the JSON is nested too deeply, or was cut short", code="bad_json")
    return b"".join([*parts, body[kept_from:]])
