"""Encodes points, series and judgements as bytes with a checksum, and decodes them exactly.

A blob is one frame, little-endian: a format byte, flags, the counts of columns and rows, a CRC-32
(as in RFC 1952) of everything else, a directory with the codec byte and the length of each column,
and the columns. It refers to nothing outside itself, so blobs can be copied between databases.
Values and times are compressed with pcodec (M. Loncaric et al., "Pcodec: Better Compression for
Numerical Sequences", 2025) or, without that library, with zlib (RFC 1950).
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, DeltaSpec, standalone

from anomify.errors import AnomifyError
from anomify.series import Float32s, Float64s, Int64s, Judgements, Points, Series

# The leading byte: what the frame holds and in which version of its layout.
SERIES = 0x11
ENTRY = 0x21
JUDGED = 0x31

# The codec byte of a column. These numbers are stored on disk: add new ones, never change one.
RAW, PCODEC, ZLIB, CONSTANT, STEPS, NARROW = range(6)

# Level 8, the default of the library, takes ten times the CPU for one per cent of the size, and its
# own search for the better of values and differences takes three times the CPU.
_OF_VALUES = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.no_op())
_OF_DIFFERENCES = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.try_consecutive(1))
_OF_SCORES = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.no_op(), enable_8_bit=True)
# Differences are encoded where their mean size is so many times smaller than the range of values.
_SMOOTH = 16
# In a shorter column the header of pcodec takes more bytes than it saves.
_LEAST_PCODEC_BYTES = 64

_HEAD = struct.Struct("<BBBIII")  # format, flags, columns, rows, further rows, CRC32
_CRC = struct.Struct("<I")
_CRC_AT = _HEAD.size - _CRC.size
_RANGE = struct.Struct("<qq")
_BASE = struct.Struct("<qB")
_SHORT = [struct.Struct("<" + "BH" * columns) for columns in range(8)]
_LONG = [struct.Struct("<" + "BI" * columns) for columns in range(8)]
_SHORT_MOST_BYTES = 0xFFFF

_INT64 = np.dtype(np.int64)
_FLOAT64 = np.dtype(np.float64)
_FLOAT32 = np.dtype(np.float32)
_UINT8 = np.dtype(np.uint8)

_IS_LONG = 0x01
_IS_BACKFILL = 0x02
_IS_JUDGED = 0x04

# A frame that declares more rows is damaged; this limits the memory that decoding allocates.
_MOST_ROWS = 1 << 26

NOT_JUDGED = 255
_MOST_SCORE = 254
# The logarithmic scale of stored scores: a step is 0.0007 near 0 and 0.012 near 1.
_SCORE_CURVE = 15.0


def _decoded_scores() -> Float32s:
    codes = np.arange(_MOST_SCORE + 1) / _MOST_SCORE
    scores = np.expm1(codes * np.log1p(_SCORE_CURVE)) / _SCORE_CURVE
    return np.append(scores, np.nan).astype(np.float32)


_SCORES = _decoded_scores()


class Damaged(AnomifyError):
    """Raised for stored bytes that are damaged, or of an unknown version of the format."""

    code = "damaged_storage"


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
            _narrow(points.metric_ids),
            _narrow(points.times),
            (RAW, _bytes_of(points.values)),
            _narrow(ended.metric_ids),
            _narrow(ended.times),
        ],
    )


def decode_entry(blob: bytes) -> tuple[Points, Points, bool]:
    """Return the points, the ended series and whether the entry is history.

    The arrays may be read-only; the values of the ended series are NaN. Raises `Damaged`.
    """
    flags, (rows, ended_rows), columns = _unframe(blob, ENTRY, 5)
    points = Points(
        _unpack(columns[0], rows, _INT64),
        _unpack(columns[1], rows, _INT64),
        _unpack(columns[2], rows, _FLOAT64),
    )
    ended = Points(
        _unpack(columns[3], ended_rows, _INT64),
        _unpack(columns[4], ended_rows, _INT64),
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
    anomify.storage.codec.Damaged: A stored blob does not match its checksum.
    """
    columns = [_steps(series.times, codec), _floats(series.values, codec)]
    flags = 0
    if has_judgement(series.judgements).any():
        flags = _IS_JUDGED
        bounds = np.concatenate([series.judgements.lowers, series.judgements.uppers])
        columns += [_codes(series.judgements.scores, codec), _floats(bounds, codec)]
    return _frame(SERIES, flags, (len(series), 0), columns)


def decode_series(blob: bytes) -> Series:
    """Return the encoded series; scores are rounded to their 8-bit codes. Raises `Damaged`."""
    # A damaged page may give text where bytes were stored: `_unframe` raises `Damaged` then.
    is_binary = isinstance(blob, bytes | memoryview)
    is_judged = is_binary and len(blob) > 1 and bool(blob[1] & _IS_JUDGED)
    _, (rows, _), columns = _unframe(blob, SERIES, 4 if is_judged else 2)
    times = _unpack(columns[0], rows, _INT64)
    values = _unpack(columns[1], rows, _FLOAT64)
    if not is_judged:
        return Series(times, values, Judgements.none(rows))
    scores = _SCORES[_unpack(columns[2], rows, _UINT8)]
    bounds = _unpack(columns[3], 2 * rows, _FLOAT32)
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
            _narrow(judged.metric_ids),
            _narrow(judged.times),
            (RAW, _bytes_of(score_codes(judgements.scores))),
            (RAW, _bytes_of(judgements.lowers.astype(np.float32, copy=False))),
            (RAW, _bytes_of(judgements.uppers.astype(np.float32, copy=False))),
        ],
    )


def decode_judged(blob: bytes) -> Judged:
    """Return the encoded judgements; scores are rounded to their codes. Raises `Damaged`."""
    _, (rows, _), columns = _unframe(blob, JUDGED, 5)
    return Judged(
        _unpack(columns[0], rows, _INT64),
        _unpack(columns[1], rows, _INT64),
        Judgements(
            _SCORES[_unpack(columns[2], rows, _UINT8)],
            _unpack(columns[3], rows, _FLOAT32),
            _unpack(columns[4], rows, _FLOAT32),
        ),
    )


def score_codes(scores: Float32s) -> NDArray[np.uint8]:
    """Return the 8-bit code of each display score, uint8 (n,), on a logarithmic scale of 0..254.

    The code of NaN, a point that was not judged, is 255.

    >>> score_codes(np.array([0.0, 1.0, np.nan], np.float32)).tolist()
    [0, 254, 255]
    """
    curved = np.log1p(np.clip(scores, 0.0, 1.0) * _SCORE_CURVE) / np.log1p(_SCORE_CURVE)
    codes = np.rint(curved * _MOST_SCORE)
    return np.where(np.isnan(codes), NOT_JUDGED, codes).astype(np.uint8)


def has_judgement(judgements: Judgements) -> NDArray[np.bool_]:
    """Return True for each row with a score or a bound, bool (n,)."""
    silent = np.isnan(judgements.scores) & np.isnan(judgements.lowers)
    return ~(silent & np.isnan(judgements.uppers))


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


# --- columns ---


def _bytes_of(column: NDArray[Any]) -> bytes:
    return column.tobytes()


def _narrow(column: Int64s) -> tuple[int, bytes]:
    """Return whole numbers as differences from the least, of 1, 2 or 4 bytes each if they fit."""
    if not len(column):
        return RAW, b""
    base, span = int(column.min()), int(column.max()) - int(column.min())
    if span == 0:
        return CONSTANT, column[:1].tobytes()
    for width in (1, 2, 4):
        if span < 1 << (8 * width):
            distances = (column - base).astype(f"<u{width}")
            return NARROW, _BASE.pack(base, width) + distances.tobytes()
    return RAW, _bytes_of(column)


def _steps(times: Int64s, codec: int) -> tuple[int, bytes]:
    """Return times encoded; evenly spaced ones as the first time and the step."""
    if len(times) > 1:
        steps = times[1:] - times[:-1]
        if (steps == steps[0]).all():
            return STEPS, _RANGE.pack(int(times[0]), int(steps[0]))
    return _packed(times, codec, _OF_DIFFERENCES)


def _floats(values: Float64s | Float32s, codec: int) -> tuple[int, bytes]:
    """Return floats encoded bit for bit; constant ones as a single value."""
    bits = values.view(np.int64 if values.itemsize == 8 else np.int32)  # noqa: PLR2004 - bytes of a float64
    if len(bits) > 1 and (bits == bits[0]).all():
        return CONSTANT, values[:1].tobytes()
    return _packed(values, codec, _OF_DIFFERENCES if _is_smooth(values) else _OF_VALUES)


def _is_smooth(values: Float64s | Float32s) -> bool:
    if len(values) < 2:  # noqa: PLR2004 - one value has no differences
        return False
    with np.errstate(all="ignore"):
        mean_step = np.abs(values[1:] - values[:-1]).mean()
        return bool(mean_step * _SMOOTH < values.max() - values.min())


def _codes(scores: Float32s, codec: int) -> tuple[int, bytes]:
    return _packed(score_codes(scores), codec, _OF_SCORES)


def _packed(column: NDArray[Any], codec: int, config: ChunkConfig) -> tuple[int, bytes]:
    if column.nbytes < _LEAST_PCODEC_BYTES:
        return RAW, _bytes_of(column)
    if codec == PCODEC:
        return PCODEC, standalone.simple_compress(np.ascontiguousarray(column), config)
    return ZLIB, zlib.compress(_bytes_of(column))


def _unpack(part: tuple[int, memoryview], rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    codec, data = part
    try:
        column = _UNPACK[codec](data, rows, dtype)
    except _UNREADABLE as problem:
        raise Damaged(f"A stored column cannot be read: {problem}") from problem
    if len(column) != rows:
        raise Damaged(f"A stored column holds {len(column)} of {rows} rows.")
    return column


def _unpack_raw(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    del rows
    return np.frombuffer(data, dtype)


def _unpack_pcodec(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    column = np.empty(rows, dtype)
    progress = standalone.simple_decompress_into(bytes(data), column)
    if not progress.finished or progress.n_processed != rows:
        raise ValueError(f"pcodec gave {progress.n_processed} of {rows} rows")
    return column


def _unpack_zlib(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    most = rows * dtype.itemsize
    return np.frombuffer(zlib.decompressobj().decompress(data, max(most, 1)), dtype)


def _unpack_constant(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.full(rows, np.frombuffer(data, dtype, 1)[0], dtype)


def _unpack_steps(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    first, step = _RANGE.unpack(data)
    column: NDArray[Any] = np.arange(rows, dtype=dtype) * step + first
    return column


def _unpack_narrow(data: memoryview, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    base, width = _BASE.unpack_from(data)
    distances = np.frombuffer(data, f"<u{width}", rows, _BASE.size)
    column: NDArray[Any] = distances.astype(dtype) + base
    return column


# The exceptions of the decoders for damaged bytes.
_UNREADABLE = (
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    ValueError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)

_UNPACK = {
    RAW: _unpack_raw,
    PCODEC: _unpack_pcodec,
    ZLIB: _unpack_zlib,
    CONSTANT: _unpack_constant,
    STEPS: _unpack_steps,
    NARROW: _unpack_narrow,
}
