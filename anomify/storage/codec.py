"""Encodes points, series and judgements as bytes with a checksum, and decodes them exactly.

A blob is one frame, little-endian: a format byte, flags, the counts of columns and rows, a CRC-32
(as in RFC 1952) of everything else, a directory with the codec byte and the length of each column,
and the columns. It refers to nothing outside itself, so blobs can be copied between databases.
The columns are those of `columns`.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomify.series import Int64s, Judgements, Points, Series
from anomify.storage.columns import (
    FLOAT32,
    FLOAT64,
    INT64,
    PCODEC,
    RAW,
    UINT8,
    bytes_of,
    decode_column,
    encode_floats,
    encode_integers,
    encode_scores,
    encode_times,
)
from anomify.storage.errors import Damaged
from anomify.storage.scores import DECODED_SCORES, score_codes

# The leading byte: what the frame holds and in which version of its layout.
SERIES = 0x11
ENTRY = 0x21
JUDGED = 0x31

_HEAD = struct.Struct("<BBBIII")  # format, flags, columns, rows, further rows, CRC32
_CRC = struct.Struct("<I")
_CRC_AT = _HEAD.size - _CRC.size
_SHORT = [struct.Struct("<" + "BH" * columns) for columns in range(8)]
_LONG = [struct.Struct("<" + "BI" * columns) for columns in range(8)]
_SHORT_MOST_BYTES = 0xFFFF

_IS_LONG = 0x01
_IS_BACKFILL = 0x02
_IS_JUDGED = 0x04

# A frame that declares more rows is damaged; this limits the memory that decoding allocates.
_MOST_ROWS = 1 << 26


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgements of n points of many metrics, row by row.

    `metric_ids` int64 (n,); `times` int64 (n,), unix milliseconds; `judgements` has n rows.
    """

    metric_ids: Int64s
    times: Int64s
    judgements: Judgements

    def __len__(self) -> int:
        """Return how many points were judged."""
        return len(self.times)


def encode_entry(points: Points, ended: Points, *, is_backfill: bool) -> bytes:
    """Return the bytes of a log entry: accepted points, ended series, and whether it is history.

    The encoding is fast rather than small, because an entry is deleted after some minutes.

    >>> points = Points(np.array([7]), np.array([60_000]), np.array([1.5]))
    >>> decoded, _, is_backfill = decode_entry(
    ...     encode_entry(points, Points.empty(), is_backfill=True)
    ... )
    >>> decoded.values.tolist(), is_backfill
    ([1.5], True)
    """
    return _frame(
        ENTRY,
        _IS_BACKFILL if is_backfill else 0,
        (len(points), len(ended)),
        [
            encode_integers(points.metric_ids),
            encode_integers(points.times),
            (RAW, bytes_of(points.values)),
            encode_integers(ended.metric_ids),
            encode_integers(ended.times),
        ],
    )


def decode_entry(blob: bytes) -> tuple[Points, Points, bool]:
    """Return the points, the ended series and whether the entry is history.

    The arrays may be read-only; the values of the ended series are NaN. Raises `Damaged`.
    """
    flags, (rows, ended_rows), columns = _unframe(blob, ENTRY, 5)
    points = Points(
        decode_column(columns[0], rows, INT64),
        decode_column(columns[1], rows, INT64),
        decode_column(columns[2], rows, FLOAT64),
    )
    ended = Points(
        decode_column(columns[3], ended_rows, INT64),
        decode_column(columns[4], ended_rows, INT64),
        np.full(ended_rows, np.nan),
    )
    return points, ended, bool(flags & _IS_BACKFILL)


def encode_series(series: Series, *, codec: int = PCODEC) -> bytes:
    """Return the bytes of a chunk: times, values and bounds exact, scores as 8-bit codes.

    `codec` is PCODEC or ZLIB, for columns that are neither constant nor evenly spaced. ZLIB is
    larger and needs no library.

    >>> series = Series(np.arange(3) * 60_000, np.array([1.0, 2.0, 4.0]), Judgements.none(3))
    >>> decode_series(encode_series(series)).values.tolist()
    [1.0, 2.0, 4.0]
    >>> decode_series(encode_series(series)[:-1])
    Traceback (most recent call last):
    anomify.storage.errors.Damaged: A stored blob does not match its checksum.
    """
    columns = [encode_times(series.times, codec), encode_floats(series.values, codec)]
    flags = 0
    if has_judgement(series.judgements).any():
        flags = _IS_JUDGED
        bounds = np.concatenate([series.judgements.lowers, series.judgements.uppers])
        columns += [encode_scores(series.judgements.scores, codec), encode_floats(bounds, codec)]
    return _frame(SERIES, flags, (len(series), 0), columns)


def decode_series(blob: bytes) -> Series:
    """Return the encoded series; scores are rounded to their 8-bit codes. Raises `Damaged`."""
    # A damaged page may give text where bytes were stored: `_unframe` raises `Damaged` then.
    is_binary = isinstance(blob, bytes | memoryview)
    is_judged = is_binary and len(blob) > 1 and bool(blob[1] & _IS_JUDGED)
    _, (rows, _), columns = _unframe(blob, SERIES, 4 if is_judged else 2)
    times = decode_column(columns[0], rows, INT64)
    values = decode_column(columns[1], rows, FLOAT64)
    if not is_judged:
        return Series(times, values, Judgements.none(rows))
    scores = DECODED_SCORES[decode_column(columns[2], rows, UINT8)]
    bounds = decode_column(columns[3], 2 * rows, FLOAT32)
    return Series(times, values, Judgements(scores, bounds[:rows], bounds[rows:]))


def encode_judged(judged: Judged) -> bytes:
    """Return the bytes of a batch of judgements; scores as the 8-bit codes of chunks.

    >>> judged = Judged(np.array([7]), np.array([60_000]), Judgements.none(1))
    >>> decode_judged(encode_judged(judged)).times.tolist()
    [60000]
    """
    judgements = judged.judgements
    return _frame(
        JUDGED,
        0,
        (len(judged), 0),
        [
            encode_integers(judged.metric_ids),
            encode_integers(judged.times),
            (RAW, bytes_of(score_codes(judgements.scores))),
            (RAW, bytes_of(judgements.lowers.astype(np.float32, copy=False))),
            (RAW, bytes_of(judgements.uppers.astype(np.float32, copy=False))),
        ],
    )


def decode_judged(blob: bytes) -> Judged:
    """Return the encoded judgements; scores are rounded to their codes. Raises `Damaged`."""
    _, (rows, _), columns = _unframe(blob, JUDGED, 5)
    return Judged(
        decode_column(columns[0], rows, INT64),
        decode_column(columns[1], rows, INT64),
        Judgements(
            DECODED_SCORES[decode_column(columns[2], rows, UINT8)],
            decode_column(columns[3], rows, FLOAT32),
            decode_column(columns[4], rows, FLOAT32),
        ),
    )


def has_judgement(judgements: Judgements) -> NDArray[np.bool_]:
    """Return True for each row with a score or a bound, bool (n,)."""
    is_nan = np.isnan(judgements.scores) & np.isnan(judgements.lowers)
    return ~(is_nan & np.isnan(judgements.uppers))


# --- frames ---


def _frame(
    form: int, flags: int, counts: tuple[int, int], columns: list[tuple[int, bytes]]
) -> bytes:
    if max(len(data) for _, data in columns) > _SHORT_MOST_BYTES:
        flags |= _IS_LONG
    directory = (_LONG if flags & _IS_LONG else _SHORT)[len(columns)].pack(
        *(field for codec, data in columns for field in (codec, len(data)))
    )
    body = b"".join([directory, *(data for _, data in columns)])
    head = _HEAD.pack(form, flags, len(columns), *counts, 0)[:_CRC_AT]
    return b"".join([head, _CRC.pack(zlib.crc32(body, zlib.crc32(head))), body])


def _unframe(
    blob: bytes, form: int, count: int
) -> tuple[int, tuple[int, int], list[tuple[int, memoryview]]]:
    if not isinstance(blob, bytes | memoryview):
        raise Damaged(f"A stored blob is no bytes but {type(blob).__name__}.")
    if len(blob) < _HEAD.size:
        raise Damaged(f"A stored blob of {len(blob)} bytes is cut short.")
    found, flags, columns, rows, further, crc = _HEAD.unpack_from(blob)
    view = memoryview(blob)
    if crc != zlib.crc32(view[_HEAD.size :], zlib.crc32(view[:_CRC_AT])):
        raise Damaged("A stored blob does not match its checksum.")
    if (found, columns) != (form, count):
        raise Damaged(f"A stored blob has format {found:#x} where {form:#x} was expected.")
    directory = (_LONG if flags & _IS_LONG else _SHORT)[columns]
    if len(blob) < _HEAD.size + directory.size or max(rows, further) > _MOST_ROWS:
        raise Damaged(f"A stored blob of {len(blob)} bytes cannot hold {rows} rows.")
    fields = directory.unpack_from(blob, _HEAD.size)
    at = _HEAD.size + directory.size
    parts = []
    for column in range(0, 2 * columns, 2):
        end = at + fields[column + 1]
        parts.append((fields[column], view[at:end]))
        at = end
    return flags, (rows, further), parts
