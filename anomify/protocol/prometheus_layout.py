"""Decodes bodies of remote write 1.0 that have the same series in the same order as before.

Senders repeat the same series in the same order with new values. The layout of such a body is
remembered: all its bytes except times and values. Another body with this layout is recognised by
comparing all of these bytes at once, and needs no decoding series by series. A value of zero, which
protobuf omits, is inserted before the comparison. A body that differs in any other byte is decoded
in the usual way.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomify.series import Float64s, Int64s

# A sample with a time from 1971 to 2109 is encoded in these 18 bytes: 12 10 (field 2, 16 bytes), 09
# and a double, 10 and a varint of six bytes. A value of 0 is omitted: 12 07 10 and the varint.
TAIL_BYTES: Final = 18
ZERO_TAIL_BYTES: Final = 9
_ZERO_BYTES: Final = TAIL_BYTES - ZERO_TAIL_BYTES
_TAIL: Final = bytes.fromhex("121009 0000000000000000 10 808080808000")
_TAIL_MASK: Final = bytes.fromhex("ffffff 0000000000000000 ff 808080808080")
# The first bytes of a sample without a value.
_ZERO_TAIL: Final = bytes.fromhex("120710")
# The bytes before the time of a sample with the value 0.
_OMITTED_ZERO: Final = _TAIL[:11]
VARINT_STEPS: Final = tuple(
    (np.uint64(16 + step), np.uint64(0x7F << (7 * step))) for step in range(6)
)

# Longer series have a length of more than two bytes; bodies with them have no layout.
_SERIES_BYTES_MAX: Final = 1 << 14
# Smaller bodies are decoded quickly anyway.
LEAST_SERIES: Final = 64
# A body in which a greater part of the values is omitted is decoded in the usual way.
_ZEROS_SHARE: Final = 8
MOST_LAYOUTS: Final = 256
MOST_LAYOUT_BYTES: Final = 64 * 1024 * 1024
# A layout is replaced after so many bodies in succession did not have it. Computing one takes as
# long as decoding one or two bodies, so the number doubles with each layout that no body had.
MOST_MISSES: Final = 8
MOST_MISSES_LIMIT: Final = 1024


@dataclass(frozen=True, slots=True)
class Columns:
    """The keys, times and values of n series with one sample each, in order."""

    keys: Sequence[bytes]
    times: Int64s
    values: Float64s


class BodyLayout:
    """The bytes of a body that do not depend on times and values."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Compute the layout of a body with these series keys, of less than 16 KiB each."""
        self.keys = keys
        lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        self._heads = [_head(len(key) + TAIL_BYTES) for key in keys]
        self._zero_heads = [_head(len(key) + ZERO_TAIL_BYTES) for key in keys]
        heads = np.fromiter(map(len, self._heads), np.int64, len(keys))
        sizes = heads + lengths + TAIL_BYTES
        self._ends = np.cumsum(sizes)
        self._key_ends = self._ends - TAIL_BYTES
        self._starts = self._ends - sizes
        # A series whose length has one byte less without the value cannot be shifted by 9 bytes.
        zero_heads = np.fromiter(map(len, self._zero_heads), np.int64, len(keys))
        self._may_be_zero = heads == zero_heads
        self.size = int(self._ends[-1])
        padded = -(-self.size // 8) * 8
        fixed = b"".join(
            part for head, key in zip(self._heads, keys, strict=True) for part in (head, key, _TAIL)
        )
        self._fixed = np.frombuffer(fixed.ljust(padded, b"\0"), np.uint64)
        mask = np.full(padded, 0xFF, np.uint8)
        mask[self._key_ends[:, None] + np.arange(TAIL_BYTES)] = np.frombuffer(_TAIL_MASK, np.uint8)
        self._mask = mask.view(np.uint64)
        # The bytes of each value and the last eight bytes of each sample.
        value_and_time = np.concatenate([np.arange(-15, -7), np.arange(-8, 0)])
        self._places = (self._ends[:, None] + value_and_time).astype(np.int32).ravel()
        self._padding = bytes(padded - self.size)
        self.memory_bytes = 3 * padded + self._places.nbytes + 200 * len(keys)
        self.misses = 0
        self.most_misses = MOST_MISSES
        self.was_read = False

    def read(self, body: bytes) -> Columns | None:
        """Return the columns of a body, None if it has another layout."""
        full = self._with_zeros(body)
        if full is None:
            return None
        words = np.frombuffer(full, np.uint64)
        if not np.array_equal(words & self._mask, self._fixed):
            return None
        read = np.frombuffer(full, np.uint8).take(self._places).view("<u8").reshape(-1, 2)
        times = np.zeros(len(self.keys), np.uint64)
        last = read[:, 1].copy()
        for shift, bits in VARINT_STEPS:
            times |= (last >> shift) & bits
        return Columns(self.keys, times.view(np.int64), read[:, 0].copy().view(np.float64))

    def _with_zeros(self, body: bytes) -> bytes | None:
        """Return the body with its omitted values inserted and padded to a multiple of 8 bytes.

        None if its length shows another layout.
        """
        omitted, rest = divmod(self.size - len(body), _ZERO_BYTES)
        if rest or not 0 <= omitted <= len(self.keys) // _ZEROS_SHARE:
            return None
        if not omitted:
            return body + self._padding if self._padding else body
        found = _zero_tails(body)
        if len(found) != omitted:
            return None
        # Each omitted value shifts what follows it by 9 bytes.
        key_ends = found + _ZERO_BYTES * np.arange(omitted)
        series = np.minimum(np.searchsorted(self._key_ends, key_ends), len(self.keys) - 1)
        if not (self._may_be_zero[series] & (self._key_ends[series] == key_ends)).all():
            return None
        view = memoryview(body)
        parts: list[bytes | memoryview] = []
        copied = shift = 0
        for each, key_end in zip(series.tolist(), found.tolist(), strict=True):
            start = int(self._starts[each]) - shift
            head, zero_head = self._heads[each], self._zero_heads[each]
            key_start = start + len(head)
            if body[start:key_start] != zero_head:
                return None
            parts += (view[copied:start], head, view[key_start:key_end], _OMITTED_ZERO)
            # What follows is the tag of the time.
            copied = key_end + 2
            shift += _ZERO_BYTES
        parts += (view[copied:], self._padding)
        return b"".join(parts)


class BodyLayouts:
    """The layouts of recent bodies by their first series; safe for many threads.

    A layout is kept of a body whose first series came before.
    """

    def __init__(self, most_bytes: int = MOST_LAYOUT_BYTES) -> None:
        """Begin empty; all layouts together take about `most_bytes` at most."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        # The least recently used first; None for a first series that came once.
        self._layouts: OrderedDict[bytes, BodyLayout | None] = OrderedDict()
        self._bytes = 0

    def read(self, body: bytes) -> Columns | None:
        """Return the columns of a body whose layout is known, else None."""
        first = _first_key(body)
        with self._lock:
            layout = self._layouts.get(first)
            if layout is None:
                return None
            self._layouts.move_to_end(first)
        columns = layout.read(body)
        if columns is None:
            layout.misses += 1
        else:
            layout.misses = 0
            layout.was_read = True
        return columns

    def add(self, keys: Sequence[bytes]) -> None:
        """Remember the layout of a body that consists of series with these keys and a sample."""
        if len(keys) < LEAST_SERIES:
            return
        first = keys[0]
        with self._lock:
            if first not in self._layouts:
                self._put(first, None)
                return
            present = self._layouts[first]
            if present is not None and present.misses < present.most_misses:
                return
        if max(map(len, keys)) + TAIL_BYTES >= _SERIES_BYTES_MAX:
            return
        layout = BodyLayout(keys)
        if layout.memory_bytes > self._most_bytes // 4:
            return
        if present is not None and not present.was_read:
            layout.most_misses = min(2 * present.most_misses, MOST_MISSES_LIMIT)
        with self._lock:
            self._put(first, layout)

    def _put(self, first: bytes, layout: BodyLayout | None) -> None:
        self._remove(first)
        self._layouts[first] = layout
        self._bytes += layout.memory_bytes if layout is not None else 0
        while len(self._layouts) > MOST_LAYOUTS or self._bytes > self._most_bytes:
            self._remove(next(iter(self._layouts)))

    def _remove(self, first: bytes) -> None:
        gone = self._layouts.pop(first, None)
        self._bytes -= gone.memory_bytes if gone is not None else 0


def _first_key(body: bytes) -> bytes:
    """Return the key of the first series of a body; of other bodies, any bytes."""
    length, at = (body[1], 2) if len(body) > 2 else (0, 0)  # noqa: PLR2004 -- tag, length, more
    if length >= 0x80:  # noqa: PLR2004 -- the continuation bit of a varint
        length, at = length & 0x7F | body[2] << 7, 3
    end = at + length
    is_zero = body[end - ZERO_TAIL_BYTES : end - ZERO_TAIL_BYTES + 3] == _ZERO_TAIL
    return body[at : end - (ZERO_TAIL_BYTES if is_zero else TAIL_BYTES)]


def _head(length: int) -> bytes:
    """Return the tag and the length of a series of less than 16 KiB."""
    if length < 0x80:  # noqa: PLR2004 -- a varint of one byte
        return bytes((0x0A, length))
    return bytes((0x0A, length & 0x7F | 0x80, length >> 7))


def _zero_tails(body: bytes) -> NDArray[np.int64]:
    """Return the positions of the bytes 12 07 10, with which a sample without a value begins."""
    every = np.frombuffer(body, np.uint8)
    first, second, third = np.frombuffer(_ZERO_TAIL, np.uint8)
    is_tail = every[:-2] == first
    is_tail &= every[1:-1] == second
    is_tail &= every[2:] == third
    return np.flatnonzero(is_tail)
