"""Decodes series of remote write 1.0 with one sample each in columns.

A usual series ends with one sample, whose bytes have a fixed form.
"""

from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from anomify.protocol.batch import UNKNOWN, MetricIdLookup
from anomify.protocol.prometheus_layout import TAIL_BYTES, VARINT_STEPS, ZERO_TAIL_BYTES
from anomify.series import Float64s, Int64s

# The end is read as little-endian words of eight bytes; each pair is a mask and the result.
_FULL_HEAD = np.uint64(0xFF_FFFF), np.uint64(0x09_10_12)
_ZERO_HEAD = np.uint64(0xFF_FFFF), np.uint64(0x10_07_12)
# The last word: a byte of any kind, the tag 10, five bytes that continue and one that does not.
_TIME = np.uint64(0x80_80_80_80_80_80_FF_00), np.uint64(0x00_80_80_80_80_80_10_00)


def read_columns(
    request: bytes, bodies: list[bytes], metric_id_of: MetricIdLookup
) -> tuple[Int64s, Int64s, Float64s, list[bytes]]:
    """Return ids, times, values and keys of all series, read as a key and one sample at the end.

    The id is `UNKNOWN` where the key has no id or the end is no sample of the usual form. A key has
    an id only after it was decoded as the labels of a series and nothing else, so what follows such
    a key in a body is the sample.
    """
    lengths = np.fromiter(map(len, bodies), np.int64, len(bodies))
    words, ends = _words(request, bodies, lengths)
    last = words[ends - 8]
    is_sample = (last & _TIME[0]) == _TIME[1]
    is_full = is_sample & ((words[ends - TAIL_BYTES] & _FULL_HEAD[0]) == _FULL_HEAD[1])
    is_full &= lengths >= TAIL_BYTES
    values = words[ends - TAIL_BYTES + 3].view(np.float64)
    times = np.zeros(len(bodies), np.uint64)
    for shift, mask in VARINT_STEPS:
        times |= (last >> shift) & mask
    if is_full.all():
        keys = [body[:-TAIL_BYTES] for body in bodies]
    else:
        is_sample &= (words[ends - ZERO_TAIL_BYTES] & _ZERO_HEAD[0]) == _ZERO_HEAD[1]
        is_sample &= lengths >= ZERO_TAIL_BYTES
        is_sample |= is_full
        values[~is_full] = 0.0
        cuts = np.where(is_full, -TAIL_BYTES, -ZERO_TAIL_BYTES).tolist()
        keys = [body[:cut] for body, cut in zip(bodies, cuts, strict=True)]
    ids = np.fromiter(map(metric_id_of, keys, repeat(UNKNOWN)), np.int64, len(bodies))
    ids[~is_sample] = UNKNOWN
    return ids, times.view(np.int64), values, keys


def _words(
    request: bytes, bodies: list[bytes], lengths: Int64s
) -> tuple[NDArray[np.uint64], Int64s]:
    """Return the word of eight bytes at every position, and the position of each series' end.

    At least `TAIL_BYTES` bytes precede each end; those before a shorter series are of other ones.
    """
    # In the request each series follows its tag (one byte) and its length (a varint).
    sizes = lengths + 2
    for bits in (7, 14, 21):
        sizes += lengths >= 1 << bits
    ends = np.cumsum(sizes) + TAIL_BYTES
    flat = bytes(TAIL_BYTES) + request
    if not len(ends) or ends[-1] != len(flat):
        # There are other fields between the series, usually metadata.
        flat = b"".join([body[-TAIL_BYTES:].rjust(TAIL_BYTES, b"\0") for body in bodies])
        ends = np.arange(1, len(bodies) + 1) * TAIL_BYTES
        flat = flat or bytes(TAIL_BYTES)
    return np.ndarray((len(flat) - 7,), "<u8", flat, strides=(1,)), ends
