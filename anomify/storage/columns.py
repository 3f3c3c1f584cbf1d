"""Encodes the columns of a blob: each is a codec number and bytes.

Values and times are compressed with pcodec (M. Loncaric et al., "Pcodec: Better Compression for
Numerical Sequences", 2025) or, without that library, with zlib (RFC 1950).
"""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, DeltaSpec, standalone

from anomify.series import Float32s, Float64s, Int64s
from anomify.storage.errors import Damaged
from anomify.storage.scores import score_codes

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

_RANGE = struct.Struct("<qq")
_BASE = struct.Struct("<qB")

INT64 = np.dtype(np.int64)
FLOAT64 = np.dtype(np.float64)
FLOAT32 = np.dtype(np.float32)
UINT8 = np.dtype(np.uint8)


def bytes_of(column: NDArray[Any]) -> bytes:
    """Return the bytes of a column, for the codec RAW."""
    return column.tobytes()


def encode_integers(column: Int64s) -> tuple[int, bytes]:
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
    return RAW, bytes_of(column)


def encode_times(times: Int64s, codec: int) -> tuple[int, bytes]:
    """Return times encoded; evenly spaced ones as the first time and the step."""
    if len(times) > 1:
        steps = times[1:] - times[:-1]
        if (steps == steps[0]).all():
            return STEPS, _RANGE.pack(int(times[0]), int(steps[0]))
    return _packed(times, codec, _OF_DIFFERENCES)


def encode_floats(values: Float64s | Float32s, codec: int) -> tuple[int, bytes]:
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


def encode_scores(scores: Float32s, codec: int) -> tuple[int, bytes]:
    """Return display scores encoded as 8-bit codes."""
    return _packed(score_codes(scores), codec, _OF_SCORES)


def _packed(column: NDArray[Any], codec: int, config: ChunkConfig) -> tuple[int, bytes]:
    if column.nbytes < _LEAST_PCODEC_BYTES:
        return RAW, bytes_of(column)
    if codec == PCODEC:
        return PCODEC, standalone.simple_compress(np.ascontiguousarray(column), config)
    return ZLIB, zlib.compress(bytes_of(column))


def decode_column(part: tuple[int, memoryview], rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a column of so many rows, which may be read-only. Raises `Damaged`."""
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
